//! From a server's launch to its first answer.

use std::fs::File;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::error::Error;
use super::folder::Home;
use super::process::{Launch, Process, tail};

/// A port that was free may be taken before the server binds it; so often in a
/// row is no coincidence.
const PORTS_TRIED: u32 = 5;
/// Between two handshakes: from the first, doubled up to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));
const LOG: &str = "server.log";

/// What one handshake found.
#[derive(Debug)]
pub(super) enum Answer<T> {
    /// The server serves.
    Ready(T),
    /// It does not listen yet, or says that it is still starting.
    NotYet(String),
    /// It will not change its mind.
    Refused(String),
}

/// A kind of server that can be launched on a port.
pub(super) trait Server {
    const NAME: &'static str;
    const READY_WITHIN: Duration;

    fn home(&self) -> &Home;
    fn launch(&self, port: u16, log: File) -> Result<Launch, Error>;
}

/// Launches the server on a free port and greets it until it answers. Returns
/// the process, its port, and what the greeting brought.
pub(super) async fn start<S, T, F>(
    server: &S,
    greet: impl Fn(u16) -> F,
) -> Result<(Process, u16, T), Error>
where
    S: Server,
    F: Future<Output = Answer<T>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        let port = free_port().map_err(Error::io("find a free port on", "127.0.0.1".as_ref()))?;
        let (log, file) = server.home().log(LOG)?;
        let launch = server.launch(port, file)?;
        let program = launch.program.clone();
        let process = Process::spawn(launch)
            .await
            .map_err(Error::io("run", &program))?;

        tokio::select! {
            status = process.ended() => {
                if tries < PORTS_TRIED && is_taken(port) {
                    continue;
                }
                let tail = tail(&log, 10);
                return Err(Error::Ended { name: S::NAME, status, log, tail });
            }
            answer = first_answer(S::READY_WITHIN, || greet(port)) => match answer {
                Ok(answer) => return Ok((process, port, answer)),
                Err(unready) => {
                    process.stop(&[(Signal::KILL, Duration::from_secs(10))]).await;
                    return Err(unready.into_error(S::NAME, S::READY_WITHIN, log));
                }
            },
        }
    }
}

/// Why there was no good answer, in the server's words.
#[derive(Debug, PartialEq, Eq)]
enum Unready {
    Refused(String),
    TimedOut(String),
}

impl Unready {
    fn into_error(self, name: &'static str, limit: Duration, log: PathBuf) -> Error {
        match self {
            Self::Refused(reason) => Error::Refused { name, reason, log },
            Self::TimedOut(reason) => Error::NotReady {
                name,
                limit,
                reason,
                log,
            },
        }
    }
}

/// Greets until the answer is final or `limit` is over.
async fn first_answer<T, F>(limit: Duration, greet: impl Fn() -> F) -> Result<T, Unready>
where
    F: Future<Output = Answer<T>>,
{
    let deadline = Instant::now() + limit;
    let mut pause = BACKOFF.0;
    loop {
        match greet().await {
            Answer::Ready(answer) => return Ok(answer),
            Answer::Refused(reason) => return Err(Unready::Refused(reason)),
            Answer::NotYet(reason) if Instant::now() >= deadline => {
                return Err(Unready::TimedOut(reason));
            }
            Answer::NotYet(_) => sleep(pause).await,
        }
        pause = (pause * 2).min(BACKOFF.1);
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn is_taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn greets_until_the_server_is_ready() {
        let calls = Cell::new(0);
        let answer = first_answer(Duration::from_secs(60), || {
            calls.set(calls.get() + 1);
            let ready = calls.get() == 4;
            async move {
                if ready {
                    Answer::Ready(7)
                } else {
                    Answer::NotYet("starting".into())
                }
            }
        });
        assert_eq!(answer.await, Ok(7));
        assert_eq!(calls.get(), 4);
    }

    #[tokio::test]
    async fn a_refusal_ends_the_greeting_at_once() {
        let calls = Cell::new(0);
        let answer = first_answer(Duration::from_secs(60), || {
            calls.set(calls.get() + 1);
            async { Answer::<()>::Refused("wrong password".into()) }
        });
        assert_eq!(
            answer.await,
            Err(Unready::Refused("wrong password".to_owned()))
        );
        assert_eq!(calls.get(), 1);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_last_reason() {
        let begin = Instant::now();
        let answer = first_answer(Duration::from_millis(50), || async {
            Answer::<()>::NotYet("connection refused".into())
        });
        assert_eq!(
            answer.await,
            Err(Unready::TimedOut("connection refused".to_owned()))
        );
        assert!(begin.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn a_bound_port_is_taken_and_a_free_one_is_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(is_taken(listener.local_addr().unwrap().port()));
        assert!(!is_taken(free_port().unwrap()));
    }
}
