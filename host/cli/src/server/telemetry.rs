//! The log on standard error, and spans for an OpenTelemetry collector.

use std::io::{self, Write};

use sluice_model::printable_line;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Starts logging on standard error, from a level that SLUICE_LOG overrides. With the feature `opentelemetry`, spans are
/// also sent to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names.
pub fn init(level: &str, json: bool) {
    let wanted = std::env::var("SLUICE_LOG").ok().and_then(|wanted| wanted.parse::<Targets>().ok());
    let filter = wanted.unwrap_or_else(|| level.parse().expect("the level is fixed in the source"));
    // Without colours: the log writes no control character at all.
    let text = tracing_subscriber::fmt::layer().with_writer(|| PrintableLines(io::stderr())).with_ansi(false);
    let text: Box<dyn Layer<Registry> + Send + Sync> =
        if json { text.json().with_filter(filter).boxed() } else { text.with_filter(filter).boxed() };
    let layers = vec![text];
    #[cfg(feature = "opentelemetry")]
    let layers = layers.into_iter().chain(spans::layer()).collect::<Vec<_>>();
    Registry::default().with(layers).init();
}

/// A writer of log entries, each on one line without control characters. An entry is written at once.
struct PrintableLines<W>(W);

impl<W: Write> Write for PrintableLines<W> {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        let line = printable_line(text.strip_suffix('\n').unwrap_or(&text));
        self.0.write_all(format!("{line}\n").as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct WrittenBytes(Arc<Mutex<Vec<u8>>>);

    impl Write for WrittenBytes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Text of somebody else in a message, a field or a span is one line that does nothing to a terminal.
    #[test]
    fn entries_are_printable_lines() {
        let hostile = "\u{1b}[2J\u{9b}31m\nERROR forged \u{202e}";
        for json in [false, true] {
            let written = WrittenBytes::default();
            let writer = written.clone();
            let text = tracing_subscriber::fmt::layer().with_ansi(false);
            let text = text.with_writer(move || PrintableLines(writer.clone()));
            let layer: Box<dyn Layer<Registry> + Send + Sync> = if json { text.json().boxed() } else { text.boxed() };
            tracing::subscriber::with_default(Registry::default().with(layer), || {
                let _span = tracing::info_span!("request", route = hostile).entered();
                tracing::error!(error = %hostile, debugged = ?hostile, "failed: {hostile}");
            });
            let bytes = written.0.lock().unwrap().clone();
            let line = String::from_utf8(bytes).unwrap();
            let line = line.strip_suffix('\n').unwrap();
            assert_eq!(line, printable_line(line), "json {json}");
            assert!(line.contains("forged"), "{line}");
            if json {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }
}
