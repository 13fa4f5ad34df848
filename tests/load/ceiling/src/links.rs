//! Redirects by Valkey: one lookup, and where clicks count one append, over
//! multiplexed connections.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo as _};
use serde::Serialize;
use uuid::Uuid;

use crate::cores::Cores;
use crate::listener::Work;

/// Commands that may be queued: the host's bound of what is in flight.
const QUEUE: usize = 1024;

/// One core's way to the links.
#[derive(Clone)]
pub(crate) struct Links {
    connection: MultiplexedConnection,
    /// Where clicks are recorded, if they are.
    stream: Option<Arc<str>>,
}

/// What is recorded of a click besides its id and its link.
#[derive(Serialize)]
struct Details<'a> {
    short_code: &'a str,
    original_url: &'a str,
}

impl Links {
    /// Opens `connections`, and gives each core one of them.
    ///
    /// # Errors
    /// Where Valkey cannot be reached.
    pub(crate) fn connect(
        cores: &Cores,
        address: &str,
        connections: usize,
        stream: Option<Arc<str>>,
    ) -> anyhow::Result<Vec<Self>> {
        let tcp = TcpSettings::default().set_nodelay(true);
        let address = address.into_connection_info()?.set_tcp_settings(tcp);
        let client = Client::open(address)?;
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        let connections = (0..connections.max(1)).map(|core| {
            let (client, config) = (client.clone(), config.clone());
            cores.run(core, async move {
                let connection = client.get_multiplexed_async_connection_with_config(&config);
                Box::pin(connection).await.context("connecting to Valkey")
            })
        });
        let connections = connections.collect::<anyhow::Result<Vec<_>>>()?;
        let links = connections
            .into_iter()
            .cycle()
            .take(cores.count())
            .map(|connection| Self {
                connection,
                stream: stream.clone(),
            });
        Ok(links.collect())
    }

    async fn record(&self, stream: &str, code: &str, id: &str, target: &str) -> anyhow::Result<()> {
        let click = click_id()?.to_string();
        let details = serde_json::to_string(&Details {
            short_code: code,
            original_url: target,
        })?;
        let mut connection = self.connection.clone();
        redis::cmd("XADD")
            .arg(stream)
            .arg("*")
            .arg(&[("c", click.as_str()), ("u", id), ("d", &details)])
            .exec_async(&mut connection)
            .await
            .context("recording a click")
    }
}

impl Work for Links {
    async fn answer(&self, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
        let code = request.uri().path().trim_start_matches('/');
        let mut connection = self.connection.clone();
        let value: Option<String> = redis::cmd("GET")
            .arg(format!("link:{code}"))
            .query_async(&mut connection)
            .await
            .context("looking a link up")?;
        let value = value.with_context(|| format!("no link `{code}`"))?;
        // A version, an id and the target, as the application writes them.
        let mut parts = value.splitn(3, ' ').skip(1);
        let (Some(id), Some(target)) = (parts.next(), parts.next()) else {
            anyhow::bail!("not a link: {value}");
        };
        if let Some(stream) = &self.stream
            && request.method() == Method::GET
        {
            self.record(stream, code, id, target).await?;
        }
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::FOUND;
        let headers = response.headers_mut();
        headers.insert(LOCATION, HeaderValue::try_from(target)?);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // hyper would leave it out for `HEAD`, and the client wait for a body.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Ok(response)
    }
}

/// An id as the application's clicks have it: random, but for the time in front.
fn click_id() -> anyhow::Result<Uuid> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let millis = u64::try_from(now.as_millis())?;
    Ok(uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid())
}
