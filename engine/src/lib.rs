//! An embedded, append-only, event-sourced history engine for flows.
