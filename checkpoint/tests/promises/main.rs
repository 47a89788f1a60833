//! What a checkpoint promises, one module for each promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod flows; //      the flows that the others write and read
mod forge; //      files that somebody made, with right CRCs

mod damage; //     no changed bit, missing byte or added byte goes unnoticed
mod forgery; //    a made file is an error, or a flow within the limits; never a panic or memory without bound
mod reading; //    one component costs one page
mod round_trip; // what was written is what is read
mod layout; //     files written earlier are read
mod sharing; //    pages shared with earlier files change nothing but the size
