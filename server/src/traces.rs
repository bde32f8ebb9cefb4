//! Traces for OpenTelemetry: each request as a span, and what the storage did for it. Sent as OTLP over HTTP, in
//! protobuf, from a thread and a bounded queue of the SDK's own: a collector that is slow or gone costs traces only.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Tracer};
use tokio::runtime::Handle;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::config::{ConfigError, OperationsConfig};
use crate::operate::SPAN_TARGET;

const SERVICE: &str = "syncline-server";

/// An answer of a collector that is longer is not read to its end, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Sends spans until it is [ended](Self::end).
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: Tracer,
    timeout: Duration,
}

impl Traces {
    /// Begins, if the settings name a collector. Requests to it run on the given runtime.
    pub fn start(config: &OperationsConfig, runtime: &Handle) -> Result<Option<Self>, ConfigError> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        let invalid =
            |reason: String| ConfigError::Value { key: "operations.otlp_endpoint".to_owned(), reason };
        if !endpoint.starts_with("http://") {
            return Err(invalid(
                "a collector is spoken to by http://, on this machine or in its network".to_owned(),
            ));
        }
        let timeout = Duration::from_millis(config.otlp_timeout_ms);
        let client = Client::builder(TokioExecutor::new()).build_http();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender { client: Arc::new(client), runtime: runtime.clone(), timeout })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(timeout)
            .build()
            .map_err(|error| invalid(error.to_string()))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.otlp_spans_queued_max.max(1))
            .with_scheduled_delay(Duration::from_millis(config.otlp_delay_ms));
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches.build()).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::TraceIdRatioBased(config.otlp_ratio.clamp(0.0, 1.0)))
            .with_resource(Resource::builder().with_service_name(SERVICE).build())
            .build();
        let tracer = provider.tracer(SERVICE);
        Ok(Some(Self { provider, tracer, timeout }))
    }

    /// What a `tracing` subscriber hands spans to.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let ours = FilterFn::new(|metadata| metadata.target() == SPAN_TARGET)
            .with_max_level_hint(LevelFilter::DEBUG);
        tracing_opentelemetry::layer().with_tracer(self.tracer.clone()).with_filter(ours)
    }

    /// Sends what waits. The runtime must still be there.
    pub fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(self.timeout) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// The SDK's thread has no runtime, so its requests run on the server's.
#[derive(Debug)]
struct Sender {
    client: Arc<Client<HttpConnector, Full<Bytes>>>,
    runtime: Handle,
    timeout: Duration,
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, timeout) = (Arc::clone(&self.client), self.timeout);
        let sent = self.runtime.spawn(async move {
            let asked = async {
                let (parts, body) = client.request(request.map(Full::new)).await?.into_parts();
                let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
                Ok(Response::from_parts(parts, body))
            };
            tokio::time::timeout(timeout, asked).await?
        });
        sent.await?
    }
}
