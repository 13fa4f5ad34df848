//! A TCP relay that can be told to hold, to cut, or to slow what runs through it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::Rng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Pieces under way in one direction of a connection; beyond that, reading waits.
const UNDER_WAY: usize = 256;

/// What happens to the bytes that arrive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Running,
    /// Connections are accepted and bytes taken, but nothing gets through.
    Held,
    /// What the clients send gets through, the answers do not.
    Unanswered,
    /// The same for the one connection that reaches the target from this port.
    OneHeld(u16),
    /// Connections end as soon as they begin.
    Refused,
}

impl Flow {
    /// Whether bytes pass on the connection of this port: what a client `asks`, or
    /// what it is answered.
    fn lets_through(self, on: u16, asks: bool) -> bool {
        match self {
            Flow::Running => true,
            Flow::Held | Flow::Refused => false,
            Flow::Unanswered => asks,
            Flow::OneHeld(held) => held != on,
        }
    }
}

/// How long pieces are under way, in each direction.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Lag {
    /// Of every piece.
    pub delay: Duration,
    /// The part of the pieces that take `again` longer, and with them those behind
    /// them: what the loss of a packet is to who waits for its bytes.
    pub lost: f64,
    pub again: Duration,
}

impl Lag {
    /// When a piece that is sent now arrives.
    fn arrival(self) -> Instant {
        let again = self.lost > 0.0 && rand::rng().random_bool(self.lost);
        Instant::now() + self.delay + if again { self.again } else { Duration::ZERO }
    }
}

/// A relay to one address; ends with this value.
pub struct Proxy {
    address: SocketAddr,
    target: watch::Sender<String>,
    flow: watch::Sender<Flow>,
    lag: watch::Sender<Lag>,
    /// Counts the cuts; a connection ends when it moves.
    cuts: watch::Sender<u64>,
    accepted: Arc<AtomicUsize>,
    trap: Trap,
    acceptor: JoinHandle<()>,
}

/// What a client has to send for the answers to be held from then on.
type Trap = Arc<Mutex<Option<&'static [u8]>>>;

impl Proxy {
    /// # Panics
    /// Where no port can be had.
    pub async fn start(target: &str) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), target).await
    }

    /// One at another address of this machine.
    ///
    /// # Panics
    /// Where no port can be had there.
    pub async fn start_at(at: IpAddr, target: &str) -> Self {
        let listener = TcpListener::bind((at, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (lag, lagging) = watch::channel(Lag::default());
        let (flow, flowing) = watch::channel(Flow::Running);
        let (cuts, cutting) = watch::channel(0);
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let (target, to) = watch::channel(target.to_owned());
        let trap = Trap::default();
        let (trapped, trigger) = (trap.clone(), flow.clone());
        let acceptor = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *flowing.borrow() == Flow::Refused {
                    continue;
                }
                count.fetch_add(1, Ordering::Relaxed);
                let to = to.borrow().clone();
                let trap = (trapped.clone(), trigger.clone());
                let relay = relay(near, to, flowing.clone(), lagging.clone(), trap);
                let mut cutting = cutting.clone();
                cutting.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        () = relay => {}
                        _ = cutting.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            target,
            flow,
            lag,
            cuts,
            accepted,
            trap,
            acceptor,
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Slows what is read from now on.
    pub fn slow(&self, lag: Lag) {
        self.lag.send_replace(lag);
    }

    /// Relays what connects from now on to another address.
    pub fn retarget(&self, target: &str) {
        self.target.send_replace(target.to_owned());
    }

    /// Lets nothing through, and says nothing.
    pub fn hold(&self) {
        self.flow.send_replace(Flow::Held);
    }

    /// Holds the answers from the moment on that a client sends `word`, the one
    /// to that included.
    ///
    /// # Panics
    /// Never.
    pub fn hold_answers_from(&self, word: &'static [u8]) {
        *self.trap.lock().expect("no one panics while holding it") = Some(word);
    }

    /// Whether the word that was waited for has been sent.
    ///
    /// # Panics
    /// Never.
    pub fn has_sprung(&self) -> bool {
        let trap = self.trap.lock().expect("no one panics while holding it");
        trap.is_none() && *self.flow.borrow() == Flow::Unanswered
    }

    /// The same on the connection that reaches the target from this port alone.
    pub fn hold_one(&self, port: u16) {
        self.flow.send_replace(Flow::OneHeld(port));
    }

    /// Lets everything through again, what was held included.
    pub fn release(&self) {
        self.flow.send_replace(Flow::Running);
    }

    /// Ends all connections there are, and all to come.
    pub fn refuse(&self) {
        self.flow.send_replace(Flow::Refused);
        self.cut();
    }

    /// Ends all connections there are.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// How many connections were ever accepted and not refused.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.cut();
    }
}

async fn relay(
    near: TcpStream,
    target: String,
    mut flow: watch::Receiver<Flow>,
    lag: watch::Receiver<Lag>,
    trap: (Trap, watch::Sender<Flow>),
) {
    let connects = |flow: &Flow| matches!(flow, Flow::Running | Flow::OneHeld(_));
    if flow.wait_for(connects).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    let Ok(from) = far.local_addr() else {
        return;
    };
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = pump(near_in, far_out, from.port(), flow.clone(), lag.clone(), Some(trap)) => {}
        () = pump(far_in, near_out, from.port(), flow, lag, None) => {}
    }
}

/// Ends at the first end or fault of either side. What a client sends, and it
/// alone, may spring a trap. `port` is the relay's own towards the target.
async fn pump(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    port: u16,
    flow: watch::Receiver<Flow>,
    lag: watch::Receiver<Lag>,
    trap: Option<(Trap, watch::Sender<Flow>)>,
) {
    let asks = trap.is_some();
    let (sent, arriving) = mpsc::channel(UNDER_WAY);
    let mut written = std::pin::pin!(write(arriving, to, port, asks, flow));
    tokio::select! {
        () = read(from, sent, lag, trap) => written.await,
        () = &mut written => {}
    }
}

/// A piece, and when it arrives.
type Piece = (Instant, Vec<u8>);

async fn read(
    mut from: OwnedReadHalf,
    sent: mpsc::Sender<Piece>,
    lag: watch::Receiver<Lag>,
    trap: Option<(Trap, watch::Sender<Flow>)>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let piece = &buffer[..count];
        if let Some((trap, flow)) = &trap {
            spring(trap, flow, piece);
        }
        let arrival = lag.borrow().arrival();
        if sent.send((arrival, piece.to_vec())).await.is_err() {
            return;
        }
    }
}

/// In the order in which they were sent: a late piece holds up those behind it.
async fn write(
    mut arriving: mpsc::Receiver<Piece>,
    mut to: OwnedWriteHalf,
    port: u16,
    asks: bool,
    mut flow: watch::Receiver<Flow>,
) {
    while let Some((arrival, piece)) = arriving.recv().await {
        // The clock of sleeping is coarse: who has arrived does not look at it.
        if arrival > Instant::now() {
            sleep_until(arrival).await;
        }
        let passes = |flow: &Flow| flow.lets_through(port, asks);
        if flow.wait_for(passes).await.is_err() || to.write_all(&piece).await.is_err() {
            return;
        }
    }
}

/// Holds the answers from now on, if the word that was waited for is among what
/// a client sends.
fn spring(trap: &Trap, flow: &watch::Sender<Flow>, sent: &[u8]) {
    let mut trap = trap.lock().expect("no one panics while holding it");
    let sprung = |word: &mut &[u8]| sent.windows(word.len()).any(|window| window == *word);
    if trap.take_if(sprung).is_some() {
        flow.send_replace(Flow::Unanswered);
    }
}
