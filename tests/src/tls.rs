//! An authority of the tests' own, and a relay that speaks TLS for a server that
//! does not.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The request for TLS that PostgreSQL's clients begin with: a length and a number.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Signs servers' certificates. No system knows it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// How a conversation comes to TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// At once.
    Direct,
    /// After the client has asked for it, as PostgreSQL has it.
    Postgres,
}

/// A relay of a port of its own to a server without TLS; ends with this value.
pub struct TlsRelay {
    port: u16,
    acceptor: JoinHandle<()>,
}

impl Authority {
    /// # Panics
    /// Where no key can be made.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// Its certificate, for those who are to trust it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// # Panics
    /// Where the name cannot be one, or the system gives no port.
    pub async fn relay(&self, name: &str, opening: Opening, target: &str) -> TlsRelay {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("usual versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .expect("a key and its certificate");
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let target = target.to_owned();
        let acceptor = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (tls, target) = (tls.clone(), target.clone());
                tokio::spawn(async move {
                    // A client that does not trust it hangs up: that is its right.
                    let _ = converse(client, opening, tls, &target).await;
                });
            }
        });
        TlsRelay { port, acceptor }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl TlsRelay {
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for TlsRelay {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// Plain text gets nowhere.
async fn converse(
    mut client: TcpStream,
    opening: Opening,
    tls: TlsAcceptor,
    target: &str,
) -> std::io::Result<()> {
    if opening == Opening::Postgres {
        let mut asked = [0; 8];
        client.read_exact(&mut asked).await?;
        if asked != SSL_REQUEST {
            return Ok(());
        }
        client.write_all(b"S").await?;
    }
    let mut client = tls.accept(client).await?;
    let mut server = TcpStream::connect(target).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
