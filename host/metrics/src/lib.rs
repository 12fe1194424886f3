//! Server metrics. Their labels are a closed list. No label holds a reference id, a tenant or text of a record.

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

/// Labels of a response.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResponseLabels {
    method: &'static str,
    /// Template of the route.
    route: String,
    status: u16,
}

/// Label of a route.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

/// Label of the outcome of uploaded records.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// Label of the kind of a job.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct JobKindLabels {
    kind: &'static str,
}

/// Labels of the end of a job.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct JobEndLabels {
    kind: &'static str,
    state: &'static str,
}

/// Label of a plugin: its name. Their number is bounded, because an operator approves each plugin.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PluginLabels {
    plugin: String,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metrics of a server.
pub struct Metrics {
    registry: Registry,
    requests: Family<ResponseLabels, Counter>,
    request_duration: Histograms<RouteLabels>,
    uploaded: Family<OutcomeLabels, Counter>,
    uploads: Gauge,
    jobs: Family<JobEndLabels, Counter>,
    jobs_running: Family<JobKindLabels, Gauge>,
    job_duration: Histograms<JobKindLabels>,
    job_records: Family<JobKindLabels, Counter>,
    plugin_time: Family<PluginLabels, Gauge<f64, AtomicU64>>,
    plugin_memory: Family<PluginLabels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        // A short response takes a millisecond, an upload minutes.
        let request_duration: Histograms<RouteLabels> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 9)));
        let job_duration: Histograms<JobKindLabels> =
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
        registry.register("build", "Version of the server", build);
        registry.register("http_requests", "Answered requests", self.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from a request to the beginning of its response",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        registry.register("uploaded_records", "Uploaded records by outcome", self.uploaded.clone());
        registry.register("uploads_in_progress", "Running uploads", self.uploads.clone());
        registry.register("jobs", "Ended jobs by kind and state", self.jobs.clone());
        registry.register("jobs_in_progress", "Running jobs", self.jobs_running.clone());
        registry.register_with_unit("job_duration", "Duration of a job", Unit::Seconds, self.job_duration.clone());
        registry.register("job_records", "Records that jobs processed", self.job_records.clone());
        let (time, memory) = (self.plugin_time.clone(), self.plugin_memory.clone());
        registry.register_with_unit(
            "plugin_time",
            "Time spent in a mapper since the server started",
            Unit::Seconds,
            time,
        );
        registry.register_with_unit("plugin_memory", "Maximum memory of a mapper", Unit::Bytes, memory);
    }

    /// Records an answered request.
    pub fn record_response(&self, method: &'static str, route: &str, status: u16, elapsed: Duration) {
        let route = if route.is_empty() { "none" } else { route };
        self.requests.get_or_create(&ResponseLabels { method, route: route.into(), status }).inc();
        self.request_duration.get_or_create(&RouteLabels { route: route.into() }).observe(elapsed.as_secs_f64());
    }

    /// Records the start of an upload.
    pub fn upload_started(&self) {
        self.uploads.inc();
    }

    /// Records the end of an upload, and the number of its records by outcome.
    pub fn upload_ended(&self, outcomes: &[(&'static str, u64)]) {
        self.uploads.dec();
        for (outcome, records) in outcomes.iter().filter(|(_, records)| *records > 0) {
            self.uploaded.get_or_create(&OutcomeLabels { outcome }).inc_by(*records);
        }
    }

    /// Records the start of a job.
    pub fn job_started(&self, kind: JobKind) {
        self.jobs_running.get_or_create(&JobKindLabels { kind: kind.as_str() }).inc();
    }

    /// Records the end of a job.
    pub fn job_ended(&self, kind: JobKind, state: JobState, elapsed: Duration, records: u64) {
        let kind = kind.as_str();
        self.jobs_running.get_or_create(&JobKindLabels { kind }).dec();
        self.jobs.get_or_create(&JobEndLabels { kind, state: state.as_str() }).inc();
        self.job_duration.get_or_create(&JobKindLabels { kind }).observe(elapsed.as_secs_f64());
        self.job_records.get_or_create(&JobKindLabels { kind }).inc_by(records);
    }

    /// Records the usage of a mapper by one upload: time, and memory in bytes.
    pub fn record_plugin_usage(&self, name: &Name, (time, memory_bytes): (Duration, u64)) {
        let plugin = PluginLabels { plugin: name.to_string() };
        self.plugin_time.get_or_create(&plugin).inc_by(time.as_secs_f64());
        let memory = self.plugin_memory.get_or_create(&plugin);
        memory.set(memory.get().max(i64::try_from(memory_bytes).unwrap_or(i64::MAX)));
    }

    /// Returns all metrics in the text format of OpenMetrics.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes any text");
        text
    }
}
