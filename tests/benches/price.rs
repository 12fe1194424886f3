//! Cost of the sandbox: the same mappers natively and in the sandbox with all limits, in one run.
//!
//! The native mapper is the SDK's, compiled for this machine. Both sides answer lookups from memory.

// One file is a harmless guest that reads nothing.
#[allow(dead_code)]
use sluice_tests::wat as hostile;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_contract::{Batch, Context, LookupAnswer, LookupRefusal, SourceLookup};
use sluice_demo::Bank;
use sluice_mapper_berka::Berka;
use sluice_mapper_smallest::Smallest;
use sluice_model::{Digest, World};
use sluice_plugin_host::{Engine, EngineOptions, MapperInstance, MapperPlugin, Usage, WorkerCommand};
use sluice_sdk::bindings::types as native;
use sluice_sdk::{__export, Mapper};

/// Number of rounds, of which the median counts.
const ROUNDS: usize = 9;
/// Records in a batch, as a server's default.
const BATCH: usize = 1_000;
const CUSTOMERS: u64 = 4_000;
/// Largest number of records of a table in a round.
const MOST: usize = 20_000;
const MIGRATION: [u8; 16] = *b"sluice-price-run";
const DAY: &str = "2026-01-31";

/// Indexes by source and field, for both sides.
#[derive(Default)]
struct Tables(HashMap<(String, String), ByKey>);

/// Records by a field's value.
type ByKey = HashMap<Vec<u8>, Vec<Vec<u8>>>;

impl Tables {
    fn load(&mut self, source: &str, field: &str, lines: &str) {
        let index = self.0.entry((source.into(), field.into())).or_default();
        for line in lines.lines() {
            let record: serde_json::Value = serde_json::from_str(line).expect("the bank writes JSON");
            index.entry(record[field].to_string().into_bytes()).or_default().push(line.as_bytes().to_vec());
        }
    }
}

impl SourceLookup for Tables {
    fn find(&self, source: &str, field: &str, keys: &[&[u8]], _most: usize) -> Result<LookupAnswer, LookupRefusal> {
        let index = self.0.get(&(source.into(), field.into())).ok_or(LookupRefusal::UnknownName)?;
        let mut found = LookupAnswer::default();
        for (key, answer) in keys.iter().zip(0..) {
            index.get(*key).into_iter().flatten().for_each(|line| found.push(answer, line));
        }
        Ok(found)
    }
}

type Native = fn(native::Context, String, native::Batch) -> usize;

fn natively<M: Mapper>(context: native::Context, source: String, batch: native::Batch) -> usize {
    let made = __export::mapper::transform::<M>(context, source, batch);
    black_box(&made).produced.len()
}

/// A mapper and the batches of a table.
struct Work {
    name: &'static str,
    source: &'static str,
    native: Native,
    sandbox: MapperInstance,
    batches: Vec<Batch>,
    /// Durations of each round, natively and in the sandbox.
    took: Vec<(Duration, Duration)>,
}

impl Work {
    fn round(&mut self) {
        let context = native::Context { migration: MIGRATION.to_vec(), registered_on: DAY.into() };
        let copy = |batch: &Batch| native::Batch { bytes: batch.bytes.clone(), ends: batch.ends.clone() };
        let given: Vec<_> =
            self.batches.iter().map(|batch| (context.clone(), self.source.to_owned(), copy(batch))).collect();
        let began = Instant::now();
        for (context, source, batch) in given {
            black_box((self.native)(context, source, batch));
        }
        let natively = began.elapsed();
        let began = Instant::now();
        for batch in &self.batches {
            let made = self.sandbox.transform(self.source, batch).expect("it works");
            assert!(made.failed.is_empty() && made.undeclared.is_empty(), "{}: it broke", self.name);
            black_box(made);
        }
        self.took.push((natively, began.elapsed()));
    }

    fn records(&self) -> u32 {
        self.batches.iter().map(|batch| batch.ends.len() as u32).sum()
    }

    /// Returns medians a record in nanoseconds, and the median of the rounds' ratios.
    fn figures(&self) -> (u128, u128, f64) {
        let median = |mut values: Vec<Duration>| {
            values.sort();
            (values[values.len() / 2] / self.records()).as_nanos()
        };
        let mut ratios: Vec<f64> = self.took.iter().map(|(native, inside)| inside.div_duration_f64(*native)).collect();
        ratios.sort_by(f64::total_cmp);
        let (native, inside) = self.took.iter().copied().unzip();
        (median(native), median(inside), ratios[ratios.len() / 2])
    }
}

fn table(bank: &Bank, name: &str) -> String {
    let mut lines = vec![];
    bank.write_table(name, &mut lines).expect("to memory");
    String::from_utf8(lines).expect("the bank writes UTF-8")
}

fn batches(lines: &str, size: usize) -> Vec<Batch> {
    let lines: Vec<&str> = lines.lines().take(MOST).collect();
    let pack = |lines: &[&str]| {
        let mut batch = Batch { bytes: vec![], ends: vec![] };
        for line in lines {
            batch.bytes.extend_from_slice(line.as_bytes());
            batch.ends.push(batch.bytes.len() as u32);
        }
        batch
    };
    lines.chunks(size).map(pack).collect()
}

fn main() {
    // The measured plugins run in workers, and this program is the worker as well.
    if std::env::args().any(|argument| argument == WorkerCommand::ARGUMENT) {
        sluice_plugin_worker::run();
        return;
    }
    let engine = Engine::new(EngineOptions::default()).expect("an engine");
    let other = |name: &str, bytes: &[u8]| MapperPlugin::new(&engine, name, Digest::of(bytes), bytes).expect("it fits");
    let (_, name, bytes) =
        sluice_embedded::plugins().find(|(world, ..)| *world == World::Mapper).expect("a mapper is embedded");
    let berka = other(name, bytes);
    let (_, smallest) = sluice_tests::MAPPERS[0];
    let smallest = other("smallest", smallest);
    let crossing = other("remembers", &hostile::component("remembers", hostile::Shape::Mapper));

    let bank = Bank { customers: CUSTOMERS, seed: 1, spoil: vec![] };
    let harness = sluice_sdk::harness::Harness::new();
    let mut tables = Tables::default();
    for source in ["loan", "disp"] {
        let lines = table(&bank, source);
        harness.load(source, &lines);
        tables.load(source, "account_id", &lines);
    }
    let tables: Arc<dyn SourceLookup> = Arc::new(tables);
    let instance = |plugin: &Arc<MapperPlugin>| {
        let context = Context { migration: MIGRATION.to_vec(), registered_on: DAY.into() };
        plugin.instance(context, tables.clone(), &Usage::default())
    };
    let small: String = (0..MOST)
        .map(|id| format!("{{\"client_id\":{id},\"initials\":\"J.\",\"name\":\"Novák\",\"closed\":{}}}\n", id % 7 == 0))
        .collect();
    let work = |name, source, native, plugin, lines: &str, size| {
        let (sandbox, batches) = (instance(plugin), batches(lines, size));
        Work { name, source, native, sandbox, batches, took: vec![] }
    };
    let (client, trans, order) = (table(&bank, "client"), table(&bank, "trans"), table(&bank, "order"));
    let mut works = [
        work("berka: client", "client", natively::<Berka> as Native, &berka, &client, BATCH),
        work("berka: order, with lookups", "order", natively::<Berka>, &berka, &order, BATCH),
        work("berka: trans, with lookups", "trans", natively::<Berka>, &berka, &trans, BATCH),
        work("smallest: client", "client", natively::<Smallest>, &smallest, &small, BATCH),
    ];
    let one: String = client.lines().take(500).map(|line| format!("{line}\n")).collect();
    let mut single = work("", "client", natively::<Berka>, &berka, &one, 1);
    let mut across = work("", "client", natively::<Smallest>, &crossing, &small, BATCH);
    for _ in 0..ROUNDS {
        works.iter_mut().chain([&mut single, &mut across]).for_each(Work::round);
    }
    println!("| mapper, batches of {BATCH} | native, ns a record | sandbox, ns a record | ratio |\n|---|---|---|---|");
    for work in &works {
        let (native, inside, ratio) = work.figures();
        println!("| {} | {native} | {inside} | {ratio:.2} |", work.name);
    }
    let ((native, inside, _), (_, across, _)) = (single.figures(), across.figures());
    println!("\nA fresh store for a batch, and crossing into it: {} µs a batch", (inside - native.min(inside)) / 1_000);
    println!("Crossing alone, with a record skipped by a guest that does not look at it: {across} ns a record");
}
