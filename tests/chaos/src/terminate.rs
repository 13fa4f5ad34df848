//! A host that is told to end while it is busy: what has reached it is answered, on
//! connections that are kept until they have heard that they end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, REFERER};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use warmlink_tests::unique;

use crate::books::Books;
use crate::form::Extent;
use crate::judge::Figures;
use crate::load::{Kind, Outcome, Sample};
use crate::run::Verdict;
use crate::world::World;

/// Connections that ask again and again.
const BUSY: usize = 24;
/// Between an answer and the next request of the slowest of them; the others are
/// quicker. A host that ends meets most of them in between: closed without a word,
/// the next request of each would meet a closed connection, wherever the way is
/// longer than here.
const THINKING: Duration = Duration::from_millis(150);
/// A signal is at its end within this; what is asked later is asked of a host that
/// is to end.
const HEARD: Duration = Duration::from_millis(500);
/// The host's own limit for its end, which nothing here should come near.
const ENDED: Duration = Duration::from_secs(20);

type Sender = SendRequest<Full<Bytes>>;

struct Crowd {
    run: String,
    address: SocketAddr,
    code: String,
    target: String,
    told: watch::Receiver<Option<Instant>>,
}

/// What a client saw.
struct Seen {
    samples: Vec<Sample>,
    /// Connections that ended without a word, and answers that did not say that they
    /// are the last.
    unannounced: usize,
}

/// # Errors
/// Where the scenario could not be carried out.
pub(crate) async fn run(extent: Extent, world: &mut World) -> anyhow::Result<Verdict> {
    let run = unique::name("run");
    let host = &mut world.hosts[0];
    let target = format!("https://example.com/{run}");
    let url = json!({ "original_url": target });
    let url = host.api().post("/urls", &url).await.expect(201).value();
    let code = url["short_code"].as_str().context("a code")?.to_owned();
    let (tell, told) = watch::channel(None);
    let crowd = Arc::new(Crowd {
        run: run.clone(),
        address: host.public(),
        code,
        target,
        told,
    });
    let mut clients = JoinSet::new();
    for number in 0..BUSY {
        clients.spawn(client(crowd.clone(), number));
    }
    sleep(extent.before).await;
    let begun = Instant::now();
    tell.send_replace(Some(begun));
    host.interrupt();
    let status = timeout(ENDED, host.exit()).await;
    let took = begun.elapsed();
    let mut broken = Vec::new();
    match status {
        Ok(status) if status.code() == Some(0) => {}
        Ok(status) => broken.push(format!("the host ended with {status}")),
        Err(_) => broken.push(format!("the host did not end within {ENDED:?}")),
    }
    let mut samples = Vec::new();
    let mut unannounced = 0;
    while let Some(seen) = clients.join_next().await {
        let seen = seen?;
        samples.extend(seen.samples);
        unannounced += seen.unannounced;
    }
    // Who delivers what it has left in the stream.
    world.hosts[0] = world.host(0).await;
    world.forget_clients();
    let mut wrong = 0;
    for sample in &samples {
        if sample.outcome != Outcome::Answered {
            wrong += 1;
            if wrong <= 3 {
                let late = sample.ended.duration_since(begun);
                let what = &sample.outcome;
                broken.push(format!(
                    "{:?} {late:.1?} after the signal: {what:?}",
                    sample.kind
                ));
            }
        }
    }
    if wrong > 0 {
        broken.push(format!("{wrong} requests were not answered"));
    }
    if unannounced > 0 {
        broken.push(format!(
            "{unannounced} ends of connections were not announced"
        ));
    }
    let after = samples.iter().filter(|it| it.begun > begun).count();
    if after == 0 {
        broken.push("nothing was asked after the signal".to_owned());
    }
    let books = Books::audit(&run, &samples, &world.database_url(), &world.valkey).await?;
    let amiss = books.broken(None);
    let certain = wrong > 0 || !amiss.is_empty();
    broken.extend(amiss);
    let answered = samples.len() - wrong;
    Ok(Verdict {
        figures: Figures {
            asked: samples.len(),
            answered,
            refused: 0,
            failed: wrong,
            slowest: samples
                .iter()
                .map(|it| it.ended - it.begun)
                .max()
                .unwrap_or_default(),
            recovery: Some(took),
        },
        notes: Vec::new(),
        lost: books.lost(),
        doubled: books.doubled,
        left: Vec::new(),
        broken,
        certain,
    })
}

/// Asks until nobody listens any more.
async fn client(crowd: Arc<Crowd>, number: usize) -> Seen {
    let mut seen = Seen {
        samples: Vec::new(),
        unannounced: 0,
    };
    let thinking = THINKING.mul_f64((number + 1) as f64 / BUSY as f64);
    let mut kept: Option<Sender> = None;
    loop {
        let open = match kept.take() {
            Some(mut sender) => match sender.ready().await {
                Ok(()) => Some(sender),
                Err(_) => {
                    seen.unannounced += 1;
                    None
                }
            },
            None => None,
        };
        let sender = match open {
            Some(sender) => sender,
            None => match connect(crowd.address).await {
                Ok(sender) => sender,
                Err(_) => return seen,
            },
        };
        let asked = seen.samples.len();
        let number = number + asked * BUSY;
        // One in four is a write.
        let kind = if asked.is_multiple_of(4) {
            Kind::Create
        } else {
            Kind::Cached
        };
        let begun = Instant::now();
        let outcome = match ask(&crowd, sender, kind, number).await {
            Ok(Asked::Kept(sender)) => {
                kept = Some(sender);
                let told = *crowd.told.borrow();
                let late = told.is_some_and(|told| begun > told + HEARD);
                seen.unannounced += usize::from(late);
                Some(Outcome::Answered)
            }
            Ok(Asked::Last) => Some(Outcome::Answered),
            Ok(Asked::Unsent) => None,
            Err(error) => Some(Outcome::Failed(format!("{error:#}"))),
        };
        if let Some(outcome) = outcome {
            seen.samples.push(Sample {
                kind,
                number,
                place: 0,
                begun,
                ended: Instant::now(),
                outcome,
            });
        }
        sleep(thinking).await;
    }
}

/// What an answered request leaves.
enum Asked {
    /// A connection for the next.
    Kept(Sender),
    /// The host said that it ends with this answer.
    Last,
    /// The connection had been closed: nothing was sent.
    Unsent,
}

async fn ask(
    crowd: &Crowd,
    mut sender: Sender,
    kind: Kind,
    number: usize,
) -> anyhow::Result<Asked> {
    let name = format!("{}-{number}", crowd.run);
    let request = Request::builder().header(HOST, crowd.address.to_string());
    let request = if kind == Kind::Create {
        let body = json!({ "original_url": crowd.target, "title": name });
        let request = request.method("POST").uri("/urls");
        request
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.to_string().into()))
    } else {
        let request = request.uri(format!("/{}", crowd.code));
        request.header(REFERER, &name).body(Full::default())
    };
    let response = match sender.send_request(request?).await {
        Ok(response) => response,
        Err(error) if error.is_canceled() => return Ok(Asked::Unsent),
        Err(error) => return Err(error.into()),
    };
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    if kind == Kind::Create {
        ensure!(head.status == StatusCode::CREATED, "{}", head.status);
        let url: Value = serde_json::from_slice(&body)?;
        ensure!(url["title"] == name, "{url}");
    } else {
        ensure!(head.status == StatusCode::FOUND, "{}", head.status);
    }
    let last = head.headers.get(CONNECTION) == Some(&HeaderValue::from_static("close"));
    Ok(if last {
        Asked::Last
    } else {
        Asked::Kept(sender)
    })
}

async fn connect(address: SocketAddr) -> anyhow::Result<Sender> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // The next request says that the connection is gone.
        let _ = connection.await;
    });
    Ok(sender)
}
