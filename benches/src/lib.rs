//! The reference streams, and what the benches share.
//!
//! Every figure of this project is measured on the same seeded streams of changes; the hash of their bytes stands in a
//! test, so that a figure of today can be compared with one of last year.
//!
//! - [`Uniform`]: `w1k`, `w10k` and `w100k`, changes spread evenly over the components;
//! - [`Editing`]: changes as people make them: bursts within one group, favourites, drags, long texts edited by the line.

mod random; //  seeded numbers that stay the same for ever
mod step; //    one change of a stream
mod uniform; // w1k, w10k, w100k
mod editing; // as people edit
mod place; //   where a bench writes
mod floor; //   what the disk takes by itself
mod measure; // rounds, medians, spreads
mod table; //   the rows of a bench, for people and as lines of JSON
pub mod plain; // changes and flows in plain structures, for all systems alike
pub mod peers; // the systems, one file each
pub mod compare; // side by side in one run
pub mod growth; // our rows as histories get longer and flows larger

/// The same rows on another allocator: what a host gains that brings its own.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use crate::editing::Editing;
pub use crate::floor::Floor;
pub use crate::measure::{Measured, median, percentile, spread_percent};
pub use crate::place::{Place, bytes_in, bytes_on_disk, copy_all};
pub use crate::random::Random;
pub use crate::step::{STREAM_BEGINS, Step, stream_hash};
pub use crate::table::{Row, Settings, Table};
pub use crate::uniform::Uniform;
