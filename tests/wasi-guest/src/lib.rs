//! A mapper for a std target. It tries to use every forbidden capability of WASI, and writes the outcome into its
//! records.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Instant, SystemTime};

use sluice_sdk::prelude::*;

reads! { struct Client { client_id: u64 } }

/// The mapper.
pub struct Curious;

impl Mapper for Curious {
    fn describe() -> Description {
        Description::new("curious", "0.1.0")
            .source("client", &["client_id"])
            .reads::<Client>()
            .produces("counterparties")
    }

    fn map(record: &Record, out: &mut Output) -> Result<(), Finding> {
        let client: Client = record.parse()?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (before, mut sum) = (Instant::now(), 0u64);
        (0..10_000).for_each(|number| sum = std::hint::black_box(sum ^ number));
        let initials = format!(
            "file {}, folder {}, arguments {}, variables {}, connection {}",
            std::fs::read("/etc/passwd").is_ok(),
            std::fs::read_dir("/").is_ok(),
            std::env::args().count(),
            std::env::vars().count(),
            std::net::TcpStream::connect("127.0.0.1:80").is_ok(),
        );
        println!("this output is discarded");
        out.put("counterparties", &json!({
            "referenceId": record.reference_id("counterparties", client.client_id),
            "type": "person",
            "initials": initials,
            "surname": format!("now {now}, passed {}, random {}", before.elapsed().as_nanos(), RandomState::new().hash_one(1)),
        }));
        Ok(())
    }
}

mapper!(Curious);
