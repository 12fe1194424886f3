//! Hostile files and their expected results.

use sluice_tests::wat::Shape;

/// The expected result for a component.
#[derive(Clone, Copy)]
pub enum ExpectedResult {
    /// Inspection refuses it with a message that contains this text.
    Refused(&'static str),
    /// The poisoned record is quarantined with this code. The other records are mapped.
    Quarantined(&'static str),
    /// The first record of its batch is rejected with this code. The other records are mapped.
    Rejected(&'static str),
    /// The upload is stopped with this code.
    Stopped(&'static str),
    /// Every record is skipped, as a harmless guest does.
    Harmless,
}

/// A hostile file.
#[derive(Clone, Copy)]
pub struct Row {
    pub file: &'static str,
    pub fate: ExpectedResult,
    pub shape: Shape,
    /// Interval of poisoned records; 0 if only record 17 is poisoned.
    pub every: u64,
}

use ExpectedResult::{Harmless, Quarantined, Refused, Rejected, Stopped};

const fn row(file: &'static str, fate: ExpectedResult) -> Row {
    Row { file, fate, shape: Shape::Mapper, every: 0 }
}

const fn refused(file: &'static str, words: &'static str) -> Row {
    row(file, Refused(words))
}

const fn quarantined(file: &'static str, code: &'static str) -> Row {
    row(file, Quarantined(code))
}

const TRAPPED: &str = "PLUGIN_TRAPPED";
const BROKE: &str = "PLUGIN_BROKE_CONTRACT";
const TOO_LARGE: &str = "PLUGIN_OUTPUT_TOO_LARGE";
const MEMORY: &str = "PLUGIN_OUT_OF_MEMORY";
const CALLS: &str = "PLUGIN_TOO_MANY_CALLS";

/// Components that run.
pub const WORK: &[Row] = &[
    quarantined("loops", "PLUGIN_TIMED_OUT"),
    quarantined("traps", TRAPPED),
    quarantined("divides-by-zero", TRAPPED),
    quarantined("reads-outside", TRAPPED),
    quarantined("calls-nothing", TRAPPED),
    quarantined("grows-memory", MEMORY),
    quarantined("grows-table", MEMORY),
    quarantined("recurses", "PLUGIN_STACK_OVERFLOW"),
    quarantined("floods-log", CALLS),
    quarantined("looks-up-for-ever", CALLS),
    quarantined("looks-up-too-much", TOO_LARGE),
    quarantined("looks-up-nonsense", TRAPPED),
    quarantined("looks-up-outside", TRAPPED),
    quarantined("looks-up-no-text", TRAPPED),
    quarantined("logs-at-no-level", TRAPPED),
    quarantined("logs-no-text", TRAPPED),
    quarantined("panics-at-length", "PLUGIN_PANICKED"),
    quarantined("hoards-handles", TRAPPED),
    quarantined("ends-decrease", BROKE),
    quarantined("ends-beyond", BROKE),
    quarantined("ends-short", BROKE),
    quarantined("origins-short", BROKE),
    quarantined("origins-beyond", BROKE),
    quarantined("makes-undescribed", BROKE),
    quarantined("names-no-text", BROKE),
    quarantined("answers-outside", BROKE),
    quarantined("answers-unaligned", BROKE),
    quarantined("list-without-end", BROKE),
    quarantined("string-without-end", BROKE),
    quarantined("issue-beyond", BROKE),
    quarantined("skips-beyond", BROKE),
    quarantined("severity-unknown", BROKE),
    quarantined("option-unknown", BROKE),
    quarantined("issues-by-the-thousand", TOO_LARGE),
    quarantined("skips-by-the-thousand", TOO_LARGE),
    quarantined("makes-too-much", TOO_LARGE),
    row("makes-no-json", Rejected("INVALID_JSON")),
    row("id-of-its-own", Rejected("REFERENCE_ID_NOT_DERIVED")),
    row("giant-code", Rejected("UNDECLARED_CODE")),
    row("logs-a-lot", Harmless),
    row("logs-undeclared", Harmless),
    row("looks-up-too-many-keys", Harmless),
    row("looks-up-unknown", Harmless),
    row("remembers", Harmless),
    row("watches-the-clock", Harmless),
    row("sleeps", Harmless),
    row("describe-sleeps", Harmless),
    quarantined("polls-for-ever", CALLS),
    row("draws-lots", Harmless),
    row("makes-by-lot", Harmless),
    row("realloc-traps", Stopped("PLUGIN_UNFIT")),
    row("realloc-outside", Stopped("PLUGIN_UNFIT")),
    row("realloc-unaligned", Stopped("PLUGIN_UNFIT")),
    row("realloc-loops", Stopped("PLUGIN_UNFIT_TIMEOUTS")),
    row("post-return-traps", Stopped("PLUGIN_UNFIT")),
    Row { every: 2, ..row("breaks-on-many", Stopped("PLUGIN_UNFIT")) },
    Row { every: 4, ..row("breaks-on-some", Stopped("PLUGIN_UNFIT_SHARE")) },
    Row { every: 2, ..row("loops-often", Stopped("PLUGIN_UNFIT_TIMEOUTS")) },
];

/// The component that only the time limit of a whole upload stops.
pub const ALL_DAY: Row = Row { every: 2, ..row("takes-all-day", Stopped("PLUGIN_OUT_OF_TIME")) };

/// Components that inspection refuses.
pub const REFUSED: &[Row] = &[
    Row {
        shape: Shape::Replaced("transform: func(context: context, source: string, records: batch) -> transformed;", ""),
        ..refused("no-transform", "does not fit the contract sluice:plugin@0.1.0")
    },
    Row {
        shape: Shape::Replaced(
            "/// Asked once, when the plugin is inspected: before it has seen a record, so that nothing it declares\n  /// can come out of one.\n  describe: func() -> description;",
            "",
        ),
        ..refused("no-describe", "does not fit the contract sluice:plugin@0.1.0")
    },
    Row {
        shape: Shape::Replaced(
            "transform: func(context: context, source: string, records: batch) -> transformed;",
            "transform: func(source: string) -> u32;",
        ),
        ..refused("mistyped", "does not fit the contract sluice:plugin@0.1.0")
    },
    refused("describe-traps", TRAPPED),
    refused("describe-loops", "PLUGIN_TIMED_OUT"),
    refused("describe-recurses", "PLUGIN_STACK_OVERFLOW"),
    refused("start-traps", TRAPPED),
    refused("start-loops", "PLUGIN_TIMED_OUT"),
    refused("describes-100-mb", MEMORY),
    refused("describes-5-mib", TOO_LARGE),
    refused("describes-outside", BROKE),
    refused("describes-no-text", BROKE),
    refused("no-name", "its name is not made of lower-case letters"),
    refused("no-version", "its version is not made of at most 32"),
    refused("no-source", "it names no source"),
    refused("no-key", "source client has no key field"),
    refused("source-twice", "source client is there twice"),
    refused("code-lower", "code 1 is not made of"),
    refused("codes-by-the-thousand", "more than 500 codes"),
    refused("sources-by-the-thousand", "more than 2000 sources"),
    refused("memory-4-gib", MEMORY),
    refused("memories", MEMORY),
    refused("table-10-million", MEMORY),
    refused("shared-memory", "shared memory"),
];
