//! Opening a connection, and the short one that cancels a statement.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::oneshot;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, NoTls, TlsConnect};
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, Connection, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{AddressError, Target};
use super::settings::Settings;
use super::sniff::{Signals, Watched, WatchedTls};
use super::tls;
use super::wire::{Socket, Wire};

/// A dead peer is noticed after about a minute, on a connection that is silent.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Dials one target.
#[derive(Clone)]
pub(super) struct Dialer {
    config: Config,
    tls: Result<Option<MakeRustlsConnect>, AddressError>,
    timeout: Duration,
    heard: Option<Heard>,
    /// Of the servers, the one that was good last: it is asked first.
    good: Arc<AtomicUsize>,
}

/// What is called with the channel and the payload of each notification. It is
/// dropped when the connection has ended.
pub(super) type Heard = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// A connection that was just opened.
pub(super) struct Opened {
    pub(super) client: Client,
    /// Which of the address's servers it is.
    pub(super) server: usize,
    pub(super) signals: Arc<Signals>,
    /// Does the connection's I/O until it ends.
    pub(super) driver: BoxFuture<'static, Result<(), tokio_postgres::Error>>,
    /// The socket, once the driver has ended.
    pub(super) socket: oneshot::Receiver<Socket>,
}

/// Why a connection could not be opened. Shows no address and no secret.
#[derive(Debug)]
pub(super) enum DialError {
    Socket(io::Error),
    Protocol(tokio_postgres::Error),
    Timeout(Duration),
    Certificates(AddressError),
    /// It takes writes, or takes none, where `target_session_attrs` asks for the other.
    OtherRole {
        writes: bool,
    },
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(error) => write!(f, "{error}"),
            Self::Protocol(error) => {
                match (error.as_db_error(), std::error::Error::source(error)) {
                    (Some(db), _) => write!(f, "{} ({})", db.message(), db.code().code()),
                    (None, Some(source)) => write!(f, "{error}: {source}"),
                    (None, None) => write!(f, "{error}"),
                }
            }
            Self::Certificates(error) => write!(f, "{error}"),
            Self::OtherRole { writes: true } => write!(f, "the server takes writes"),
            Self::OtherRole { writes: false } => write!(f, "the server takes no writes"),
            Self::Timeout(limit) => write!(f, "no answer within {} ms", limit.as_millis()),
        }
    }
}

impl Dialer {
    /// For connections of a pool. Reads the root certificates, if any are asked
    /// for; what is wrong with them is said by [`Self::open`].
    pub(super) fn new(target: &Target, settings: &Settings) -> Self {
        let mut dialer = Self::plain(target, &settings.application_name, settings.connect_timeout);
        // First, so that an option of the address is the one that counts.
        let options = format!(
            "-c statement_timeout={} {}",
            settings.statement_timeout.as_millis(),
            target.config.get_options().unwrap_or_default(),
        );
        dialer.config.options(options.trim_end());
        dialer
    }

    /// For connections that set no limit to their statements.
    pub(super) fn plain(target: &Target, application_name: &str, timeout: Duration) -> Self {
        let mut config = target.config.clone();
        if config.get_application_name().is_none() {
            config.application_name(application_name);
        }
        let local = |host: &Host| matches!(host, Host::Unix(_));
        let tls = if config.get_hosts().iter().all(local) {
            Ok(None)
        } else {
            tls::connector(target)
        };
        if matches!(tls, Ok(None)) {
            config.ssl_mode(SslMode::Disable);
        }
        let timeout = config
            .get_connect_timeout()
            .map_or(timeout, |own| timeout.min(*own));
        Self {
            config,
            tls,
            timeout,
            heard: None,
            good: Arc::default(),
        }
    }

    /// The same, for a connection whose notifications have a reader.
    pub(super) fn hearing(mut self, heard: Heard) -> Self {
        self.heard = Some(heard);
        self
    }

    /// Connects and signs on: to the server that was good last, else to the next
    /// that is. Each has the whole time to answer.
    pub(super) async fn open(&self) -> Result<Opened, DialError> {
        let count = self.config.get_hosts().len();
        let first = match self.config.get_load_balance_hosts() {
            LoadBalanceHosts::Random => rand::random_range(0..count),
            _ => self.good.load(Ordering::Relaxed),
        };
        let mut failed = None;
        for turn in 0..count {
            let server = (first + turn) % count;
            let opened = tokio::time::timeout(self.timeout, self.open_to(server));
            match opened.await {
                Ok(Ok(opened)) => {
                    self.good.store(server, Ordering::Relaxed);
                    return Ok(opened);
                }
                Ok(Err(error)) => failed = Some(error),
                Err(_) => failed = Some(DialError::Timeout(self.timeout)),
            }
        }
        Err(failed.unwrap_or(DialError::Timeout(self.timeout)))
    }

    async fn open_to(&self, server: usize) -> Result<Opened, DialError> {
        let socket = self.socket(server).await.map_err(DialError::Socket)?;
        let signals = Arc::new(Signals::default());
        let (wire, socket) = Wire::new(socket, signals.clone());
        let tls = self.tls_to_host::<Watched<Wire>>(server)?;
        let asks = tls.is_some() && self.config.get_ssl_negotiation() == SslNegotiation::Postgres;
        let watched = Watched::transport(wire, asks, signals.clone());
        let (client, mut driver) = match tls {
            Some(inner) => {
                let tls = WatchedTls {
                    inner,
                    signals: signals.clone(),
                };
                self.sign_on(watched, tls).await?
            }
            None => self.sign_on(watched, NoTls).await?,
        };
        tokio::select! {
            biased;
            checked = self.check_role(&client) => checked?,
            ended = &mut driver => {
                let lost = || DialError::Socket(io::ErrorKind::ConnectionAborted.into());
                return Err(ended.map_or_else(DialError::Protocol, |()| lost()));
            }
        }
        Ok(Opened {
            client,
            server,
            signals,
            driver,
            socket,
        })
    }

    /// As libpq finds it out.
    async fn check_role(&self, client: &Client) -> Result<(), DialError> {
        let wanted = match self.config.get_target_session_attrs() {
            TargetSessionAttrs::ReadWrite => true,
            TargetSessionAttrs::ReadOnly => false,
            _ => return Ok(()),
        };
        let answer = client.simple_query("SHOW transaction_read_only").await;
        let answer = answer.map_err(DialError::Protocol)?;
        let writes = answer.iter().any(
            |message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("off")),
        );
        if writes == wanted {
            Ok(())
        } else {
            Err(DialError::OtherRole { writes })
        }
    }

    async fn sign_on<S, T>(
        &self,
        stream: S,
        tls: T,
    ) -> Result<
        (
            Client,
            BoxFuture<'static, Result<(), tokio_postgres::Error>>,
        ),
        DialError,
    >
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: TlsConnect<S>,
        T::Stream: Send + 'static,
    {
        let (client, connection) = self
            .config
            .connect_raw(stream, tls)
            .await
            .map_err(DialError::Protocol)?;
        Ok((client, Box::pin(drive(connection, self.heard.clone()))))
    }

    /// Asks a server to stop what the connection of `token` is running there.
    /// Returns when the server has passed the request on.
    pub(super) async fn cancel(&self, token: &CancelToken, server: usize) -> Result<(), DialError> {
        let cancel = async {
            let socket = self.socket(server).await.map_err(DialError::Socket)?;
            let (wire, socket) = Wire::new(socket, Arc::default());
            match self.tls_to_host::<Wire>(server)? {
                Some(tls) => token.cancel_query_raw(wire, tls).await,
                None => token.cancel_query_raw(wire, NoTls).await,
            }
            .map_err(DialError::Protocol)?;
            // The server closes once it has signalled the other process.
            if let Ok(socket) = socket.await {
                socket.linger().await;
            }
            Ok(())
        };
        tokio::time::timeout(self.timeout, cancel)
            .await
            .unwrap_or(Err(DialError::Timeout(self.timeout)))
    }

    fn tls_to_host<S>(
        &self,
        server: usize,
    ) -> Result<Option<<MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect>, DialError>
    where
        MakeRustlsConnect: MakeTlsConnect<S>,
        <MakeRustlsConnect as MakeTlsConnect<S>>::Error: std::error::Error + Send + Sync + 'static,
    {
        let tls = self.tls.clone().map_err(DialError::Certificates)?;
        let (Some(mut tls), Host::Tcp(name)) = (tls, &self.config.get_hosts()[server]) else {
            return Ok(None);
        };
        tls.make_tls_connect(name)
            .map(Some)
            .map_err(|error| DialError::Socket(io::Error::new(io::ErrorKind::InvalidInput, error)))
    }

    /// A connected socket: the first of the host's addresses that accepts.
    async fn socket(&self, server: usize) -> io::Result<Socket> {
        let port = self.config.get_ports()[server];
        let name = match &self.config.get_hosts()[server] {
            Host::Unix(directory) => return Socket::unix(directory.clone(), port).await,
            Host::Tcp(name) => name.as_str(),
        };
        let addresses = match self.config.get_hostaddrs().first() {
            Some(address) => vec![(*address, port).into()],
            None => lookup_host((name, port)).await?.collect(),
        };
        let mut last = None;
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    self.tune(&stream)?;
                    return Ok(Socket::Tcp(stream));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "host has no address")))
    }

    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        // Statements are small and wait for an answer each: never hold one back.
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        if self.config.get_keepalives() {
            let idle = self.config.get_keepalives_idle().min(KEEPALIVE_IDLE);
            let interval = self
                .config
                .get_keepalives_interval()
                .unwrap_or(KEEPALIVE_INTERVAL);
            let mut keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval);
            if let Some(retries) = self.config.get_keepalives_retries() {
                keepalive = keepalive.with_retries(retries);
            }
            socket.set_tcp_keepalive(&keepalive)?;
        }
        #[cfg(target_os = "linux")]
        if let Some(timeout) = self.config.get_tcp_user_timeout() {
            socket.set_tcp_user_timeout(Some(*timeout))?;
        }
        Ok(())
    }
}

/// Polls the connection to its end. Notices have no reader.
async fn drive<S, T>(
    mut connection: Connection<S, T>,
    heard: Option<Heard>,
) -> Result<(), tokio_postgres::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
        if let (AsyncMessage::Notification(said), Some(heard)) = (message?, &heard) {
            heard(said.channel(), said.payload());
        }
    }
    Ok(())
}
