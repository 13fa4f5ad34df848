//! The request that a new revision has to answer before anybody else's reaches
//! it.

use crate::capability::Call;
use crate::engine::{Admission, Permits, Revision};
use crate::error::Failure;
use crate::manifest::Spec;
use crate::router::{Router, spin_headers};
use crate::telemetry::trace::Span;
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Empty};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};
use wasmtime_wasi_http::WasiBody;

/// Longest wait for the whole answer, where the component's deadline is not less.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks `revision` for `path`, on one of the runtimes that serve.
///
/// # Errors
///
/// Where it does not answer with 2xx in time, or its body breaks.
pub(super) async fn run(
    revision: &Arc<Revision>,
    path: &str,
    application: &Spec,
    cores: &[Handle],
) -> Result<(), String> {
    let request = request(path, revision, application)?;
    let core = cores.first().ok_or("there is no core")?;
    let revision = revision.clone();
    let answered = core.spawn(async move { ask(&revision, request).await });
    answered
        .await
        .map_err(|error| error.to_string())?
        .map_err(|reason| format!("GET {path} {reason}"))
}

async fn ask(revision: &Revision, request: Request<WasiBody>) -> Result<(), String> {
    let limits = revision.limits();
    let deadline = Instant::now() + limits.deadline.min(PATIENCE);
    let call = Call::new(deadline, PATIENCE, "probe".into(), Span::OFF);
    // Not the failure's own words, which are for the log.
    let failed = |failure: Failure| format!("failed: {}", failure.kind.client_text());
    // It competes with nobody: the revision has no other request yet.
    let alone = Admission::new(2, Some(0), Duration::ZERO);
    let permits = Permits {
        endpoint: alone.try_admit().ok_or("was not admitted")?,
        node: alone.try_admit().ok_or("was not admitted")?.into(),
        canary: None,
    };
    let response = revision
        .handle(0, request, Arc::new(call), permits)
        .await
        .map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("was answered with {status}, not with 2xx"));
    }
    let mut body = response.into_body();
    let late = || "was answered with a body that did not end in time".to_owned();
    while let Some(frame) = timeout_at(deadline, body.frame())
        .await
        .map_err(|_elapsed| late())?
    {
        frame.map_err(|error| format!("was answered with a body that broke off: {error}"))?;
    }
    Ok(())
}

fn request(
    path: &str,
    revision: &Revision,
    application: &Spec,
) -> Result<Request<WasiBody>, String> {
    let target: Uri = format!("http://localhost{path}")
        .parse()
        .map_err(|error| format!("probe {path:?}: {error}"))?;
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut request = Request::get(target.clone())
        .body(body)
        .map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    headers.insert(http::header::HOST, HeaderValue::from_static("localhost"));
    headers.insert("x-request-id", HeaderValue::from_static("probe"));
    // As the route that leads there would have it; a private component has none.
    let routes = application.routes.iter();
    let own = routes.filter(|route| route.component == **revision.id());
    let router = Router::new(own.map(|route| route.pattern.clone()));
    if revision.spin_headers()
        && let Some(matched) = router.route(target.path())
    {
        let host = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let client = spin_headers::client_addr(host);
        spin_headers::set(headers, &target, &matched, client);
    }
    Ok(request)
}
