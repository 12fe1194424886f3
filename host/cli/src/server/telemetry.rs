//! The log on standard error, and spans for an OpenTelemetry collector.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Starts logging on standard error, from a level that SLUICE_LOG overrides. With the feature `opentelemetry`, spans are
/// also sent to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names.
pub fn init(level: &str, json: bool) {
    let wanted = std::env::var("SLUICE_LOG").ok().and_then(|wanted| wanted.parse::<Targets>().ok());
    let filter = wanted.unwrap_or_else(|| level.parse().expect("the level is fixed in the source"));
    let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let text = text.with_ansi(std::io::stderr().is_terminal());
    let text: Box<dyn Layer<Registry> + Send + Sync> =
        if json { text.json().with_filter(filter).boxed() } else { text.with_filter(filter).boxed() };
    let layers = vec![text];
    #[cfg(feature = "opentelemetry")]
    let layers = layers.into_iter().chain(spans::layer()).collect::<Vec<_>>();
    Registry::default().with(layers).init();
}

/// Sends the remaining spans. Call it before the process ends.
pub fn shut_down() {
    #[cfg(feature = "opentelemetry")]
    spans::shut_down();
}

#[cfg(feature = "opentelemetry")]
mod spans {
    use std::sync::OnceLock;

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_otlp::SpanExporter;
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::{Layer, Registry};

    static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

    /// Returns the layer that sends spans, if OTEL_EXPORTER_OTLP_ENDPOINT names a collector.
    pub fn layer() -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
        std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT")?;
        let exporter = match SpanExporter::builder().with_http().build() {
            Ok(exporter) => exporter,
            Err(error) => {
                eprintln!("warning: spans are not sent: {error}");
                return None;
            }
        };
        let resource = Resource::builder().with_service_name("sluice").build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let tracer = PROVIDER.get_or_init(|| provider).tracer("sluice");
        Some(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(LevelFilter::INFO).boxed())
    }

    pub fn shut_down() {
        if let Some(provider) = PROVIDER.get() {
            let _ = provider.shutdown();
        }
    }
}
