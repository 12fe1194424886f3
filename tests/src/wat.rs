//! Builds components from the files in `tests/hostile`: the blocks of the preamble, some replaced by a file's own.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The contract that a component is encoded against.
#[derive(Clone, Copy)]
pub enum Shape {
    /// The mapper's world, with a clock, handles and random numbers to import.
    Mapper,
    /// The mapper's world, with one text replaced by another.
    Replaced(&'static str, &'static str),
}

/// Parts of WASI, and a world that includes the mapper's.
const WORLD: &str = "
world hostile {
  include mapper;
  import wasi:clocks/monotonic-clock@0.2.0;
  import wasi:io/poll@0.2.0;
  import wasi:random/random@0.2.0;
}
package wasi:io@0.2.0 {
  interface poll {
    resource pollable { ready: func() -> bool; block: func(); }
    poll: func(in: list<borrow<pollable>>) -> list<u32>;
  }
}
package wasi:clocks@0.2.0 {
  interface monotonic-clock {
    use wasi:io/poll@0.2.0.{pollable};
    now: func() -> u64;
    subscribe-duration: func(when: u64) -> pollable;
  }
}
package wasi:random@0.2.0 { interface random { get-random-u64: func() -> u64; } }
";

/// Returns a file's description, its first line without the full stop.
pub fn description(file: &str) -> String {
    let source = read(&format!("hostile/{file}.wat"));
    let first = source.lines().next().unwrap_or_default();
    first.trim_start_matches(";; ").trim_end_matches('.').to_owned()
}

/// Builds the component of a file. The mapper has the file's name.
pub fn component(file: &str, shape: Shape) -> Vec<u8> {
    encode(file, &module(file), "hostile", shape)
}

/// Builds a domain plugin with this WAT in its exports `validate`, `plan` and `generate`.
pub fn domain(name: &str, [validate, plan, generate]: [&str; 3]) -> Vec<u8> {
    let source = read("hostile/domain.txt");
    let source = source.replace("VALIDATE", validate).replace("PLAN", plan).replace("GENERATE", generate);
    encode(name, &source, "domain", Shape::Mapper)
}

/// Encodes a core module, in WAT, as a component of a world.
fn encode(file: &str, source: &str, world: &str, shape: Shape) -> Vec<u8> {
    let mut module = wat::parse_str(source).unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut resolve = Resolve::default();
    let package = resolve.push_str("sluice.wit", &contract(shape)).unwrap_or_else(|error| panic!("{file}: {error:#}"));
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let encoder = ComponentEncoder::default().validate(false).module(&module);
    encoder.and_then(|mut encoder| encoder.encode()).unwrap_or_else(|error| panic!("{file}: {error:#}"))
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the contract as one text.
fn contract(shape: Shape) -> String {
    let mut text = String::from("package sluice:plugin@0.1.0;\n");
    for file in ["types", "lookup", "mapping", "validation", "importing", "calling", "worlds"] {
        let wit = read(&format!("../wit/{file}.wit"));
        text += &wit.replace("package sluice:plugin@0.1.0;", "");
    }
    text += WORLD;
    match shape {
        Shape::Mapper => text,
        Shape::Replaced(from, to) => {
            assert!(text.contains(from), "the contract has no {from}");
            text.replace(from, to)
        }
    }
}

fn module(file: &str) -> String {
    let (preamble, hostile) = (read("hostile/preamble.txt"), read(&format!("hostile/{file}.wat")));
    let mut parts = blocks(&preamble);
    for (name, block) in blocks(&hostile) {
        match parts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, replaced)) => *replaced = block,
            None => parts.push((name, block)),
        }
    }
    // Imports come first in a module.
    let body: String = parts.iter().map(|(_, block)| *block).collect();
    let body = body.replace("NAME", file).replace("LENGTH", &file.len().to_string());
    format!("(module\n{body})")
}

/// Returns the blocks of a file, each with its name.
fn blocks(source: &str) -> Vec<(&str, &str)> {
    source.split(";;= ").skip(1).map(|block| block.split_once('\n').unwrap_or((block, ""))).collect()
}
