//! The five steps, a file each: what is done to records, without HTTP and without a database of its own.

mod compare;
mod counts;
mod desk;
mod direct;
mod evidence;
mod import;
mod lookups;
mod order;
mod quarantine;
mod recount;
mod remap;
mod rerun;
mod results;
mod sample;
mod source;
mod tallies;
mod trial;
mod trial_target;
mod upload;
mod validate;

pub use compare::{Compare, compare, differences};
pub use counts::{Count, count, count_sources};
pub use desk::{Desk, Failure, Stop};
pub use direct::{delete_records, load_records};
pub use evidence::{Bundle, evidence};
pub use import::import;
pub use order::{Stage, stages};
pub use quarantine::{QUARANTINE, quarantined};
pub use recount::{Compared, RecountError, recount};
pub use remap::{Remap, remap};
pub use results::Results;
pub use sample::Sample;
pub use source::load_source;
pub use trial::{Trial, trial};
pub use upload::{Body, BrokenOff, Received, Upload};
pub use validate::validate;
