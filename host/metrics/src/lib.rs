//! What the server counts of itself. Labels are a closed list: no reference id, no tenant, nothing of a record.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use sluice_model::{JobKind, JobState, Name};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answer {
    method: &'static str,
    /// The route's template.
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct End {
    kind: &'static str,
    state: &'static str,
}

/// A plugin by its own name: there are as many as an operator has let in.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Plugin {
    plugin: String,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics.
pub struct Metrics {
    registry: Registry,
    requests: Family<Answer, Counter>,
    request_duration: Histograms<Route>,
    uploaded: Family<Outcome, Counter>,
    uploads: Gauge,
    jobs: Family<End, Counter>,
    jobs_running: Family<Kind, Gauge>,
    job_duration: Histograms<Kind>,
    job_records: Family<Kind, Counter>,
    plugin_time: Family<Plugin, Gauge<f64, AtomicU64>>,
    plugin_memory: Family<Plugin, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        // A quick answer takes a millisecond, an upload minutes.
        let request_duration: Histograms<Route> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 9)));
        let job_duration: Histograms<Kind> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.1, 4.0, 9)));
        let mut metrics = Self {
            registry: Registry::with_prefix("sluice"),
            requests: Family::default(),
            request_duration,
            uploaded: Family::default(),
            uploads: Gauge::default(),
            jobs: Family::default(),
            jobs_running: Family::default(),
            job_duration,
            job_records: Family::default(),
            plugin_time: Family::default(),
            plugin_memory: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", build);
        registry.register("http_requests", "Requests answered", self.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time until a request's answer began",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        registry.register("uploaded_records", "Records uploaded, by what became of them", self.uploaded.clone());
        registry.register("uploads_in_progress", "Uploads that are running", self.uploads.clone());
        registry.register("jobs", "Jobs ended, by how", self.jobs.clone());
        registry.register("jobs_in_progress", "Jobs that are running", self.jobs_running.clone());
        registry.register_with_unit("job_duration", "Time of a job", Unit::Seconds, self.job_duration.clone());
        registry.register("job_records", "Records that jobs worked through", self.job_records.clone());
        let (time, memory) = (self.plugin_time.clone(), self.plugin_memory.clone());
        registry.register_with_unit(
            "plugin_time",
            "Time spent in a mapper since the server began",
            Unit::Seconds,
            time,
        );
        registry.register_with_unit("plugin_memory", "Most memory that a mapper has had", Unit::Bytes, memory);
    }

    /// Notes an answered request.
    pub fn answered(&self, method: &'static str, route: &str, status: u16, elapsed: Duration) {
        let route = if route.is_empty() { "none" } else { route };
        self.requests.get_or_create(&Answer { method, route: route.into(), status }).inc();
        self.request_duration.get_or_create(&Route { route: route.into() }).observe(elapsed.as_secs_f64());
    }

    /// Notes that an upload begins.
    pub fn upload_begins(&self) {
        self.uploads.inc();
    }

    /// Notes that an upload has ended, and what became of its records.
    pub fn upload_ended(&self, outcomes: &[(&'static str, u64)]) {
        self.uploads.dec();
        for (outcome, records) in outcomes.iter().filter(|(_, records)| *records > 0) {
            self.uploaded.get_or_create(&Outcome { outcome }).inc_by(*records);
        }
    }

    /// Notes that a job begins.
    pub fn job_begins(&self, kind: JobKind) {
        self.jobs_running.get_or_create(&Kind { kind: kind.as_str() }).inc();
    }

    /// Notes how a job ended.
    pub fn job_ended(&self, kind: JobKind, state: JobState, elapsed: Duration, records: u64) {
        let kind = kind.as_str();
        self.jobs_running.get_or_create(&Kind { kind }).dec();
        self.jobs.get_or_create(&End { kind, state: state.as_str() }).inc();
        self.job_duration.get_or_create(&Kind { kind }).observe(elapsed.as_secs_f64());
        self.job_records.get_or_create(&Kind { kind }).inc_by(records);
    }

    /// Notes what a mapper of this name took for an upload: time, and memory in bytes.
    pub fn plugin_took(&self, name: &Name, (time, memory_bytes): (Duration, u64)) {
        let plugin = Plugin { plugin: name.to_string() };
        self.plugin_time.get_or_create(&plugin).inc_by(time.as_secs_f64());
        let memory = self.plugin_memory.get_or_create(&plugin);
        memory.set(memory.get().max(i64::try_from(memory_bytes).unwrap_or(i64::MAX)));
    }

    /// All of them in OpenMetrics' text format.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes any text");
        text
    }
}
