//! The five steps, a file each: what is done to records, without HTTP and without a database of its own.

mod approved;
mod counts;
mod desk;
mod direct;
mod evidence;
mod import;
mod lookups;
mod order;
mod provenance;
mod quarantine;
mod recount;
mod replay;
mod results;
mod said;
mod source;
mod tallies;
mod upload;
mod validate;

pub use counts::{Count, count, count_sources};
pub use desk::{Desk, Failure, Stop};
pub use direct::{delete_records, load_records};
pub use evidence::{Bundle, evidence};
pub use import::import;
pub use order::{Stage, stages};
pub use provenance::{Story, provenance};
pub use quarantine::{QUARANTINE, quarantined};
pub use recount::{Compared, RecountError, recount};
pub use replay::{Replayed, replay, replay_all};
pub use results::Results;
pub use source::load_source;
pub use upload::{Body, BrokenOff, Received, Upload};
pub use validate::validate;
