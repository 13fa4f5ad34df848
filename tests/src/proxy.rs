//! A TCP relay that can be told to hold, or to cut, what runs through it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

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

/// A relay to one address; ends with this value.
pub struct Proxy {
    port: u16,
    target: watch::Sender<String>,
    flow: watch::Sender<Flow>,
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
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
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
                let relay = relay(near, to, flowing.clone(), trap);
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
            port,
            target,
            flow,
            cuts,
            accepted,
            trap,
            acceptor,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
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
        () = pump(near_in, far_out, from.port(), flow.clone(), Some(trap)) => {}
        () = pump(far_in, near_out, from.port(), flow, None) => {}
    }
}

/// Ends at the first end or fault of either side. What a client sends, and it
/// alone, may spring a trap. `port` is the relay's own towards the target.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    port: u16,
    mut flow: watch::Receiver<Flow>,
    trap: Option<(Trap, watch::Sender<Flow>)>,
) {
    let asks = trap.is_some();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if let Some((trap, flow)) = &trap {
            spring(trap, flow, &buffer[..count]);
        }
        let passes = |flow: &Flow| flow.lets_through(port, asks);
        if flow.wait_for(passes).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
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
