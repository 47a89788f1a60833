//! Node-RED and NiFi documents to flows and back.
