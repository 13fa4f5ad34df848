//! Asks the system for what a component may not have, as a script says: by std,
//! which is WASI 0.2 here, and by WASI 0.3.

use std::fmt::Display;
use std::fs;
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};

use guest_probe3::wasip3::exports::http::handler::Guest;
use guest_probe3::wasip3::filesystem::preopens;
use guest_probe3::wasip3::http::types::{ErrorCode, Request, Response};
use guest_probe3::wasip3::sockets::ip_name_lookup;
use guest_probe3::wasip3::sockets::types::{
    IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket as UdpSocket3,
};
use guest_probe3::wasip3::{self, cli};
use guest_probe3::{Exchange, json_answer, outcome};
use serde::Deserialize;
use serde_json::{Value, json};

struct Component;

wasip3::http::service::export!(Component);

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let mut exchange = Exchange::new(request);
        let script = match exchange.script::<Step>().await {
            Ok(script) => script,
            Err(answer) => return answer,
        };
        let mut outcomes = Vec::new();
        for step in script {
            outcomes.push(run(step).await);
        }
        json_answer(200, &Value::Array(outcomes))
    }
}

/// Addresses are `host:port`; those of WASI 0.3 are ports of 127.0.0.1.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Read(String),
    List(String),
    Write(String),
    /// The environment and the arguments.
    Environment(()),
    Connect(String),
    Listen(String),
    Send(String),
    Resolve(String),
    /// Folders, environment and arguments by WASI 0.3.
    Environment3(()),
    Connect3(u16),
    Listen3(u16),
    Send3(u16),
    Resolve3(String),
}

async fn run(step: Step) -> Value {
    match step {
        Step::Read(path) => said(fs::read_to_string(path)),
        Step::List(path) => said(list(&path)),
        Step::Write(path) => said(fs::write(path, "written by a guest")),
        Step::Environment(()) => json!({ "ok": {
            "variables": std::env::vars().collect::<Vec<_>>(),
            "arguments": std::env::args().collect::<Vec<_>>(),
        } }),
        Step::Connect(address) => said(TcpStream::connect(address).map(drop)),
        Step::Listen(address) => said(TcpListener::bind(address).map(drop)),
        Step::Send(address) => said(send(&address)),
        Step::Resolve(name) => said(name.to_socket_addrs().map(Iterator::count)),
        Step::Environment3(()) => json!({ "ok": {
            "variables": cli::environment::get_environment(),
            "arguments": cli::environment::get_arguments(),
            "folders": preopens::get_directories()
                .into_iter()
                .map(|(_, path)| path)
                .collect::<Vec<_>>(),
        } }),
        Step::Connect3(port) => shown(connect3(port).await),
        Step::Listen3(port) => shown(listen3(port)),
        Step::Send3(port) => shown(send3(port).await),
        Step::Resolve3(name) => {
            let addresses = ip_name_lookup::resolve_addresses(name).await;
            shown(addresses.map(|addresses| json!(addresses.len())))
        }
    }
}

fn list(path: &str) -> std::io::Result<Vec<String>> {
    let names = fs::read_dir(path)?.map(|entry| {
        let name = entry?.file_name();
        Ok(name.to_string_lossy().into_owned())
    });
    names.collect()
}

fn send(address: &str) -> std::io::Result<usize> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(b"by a guest", address)
}

fn local(port: u16) -> IpSocketAddress {
    let address = (127, 0, 0, 1);
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address })
}

type Socket3 = Result<Value, wasip3::sockets::types::ErrorCode>;

async fn connect3(port: u16) -> Socket3 {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4)?;
    socket.connect(local(port)).await?;
    Ok(Value::Null)
}

fn listen3(port: u16) -> Socket3 {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4)?;
    socket.bind(local(port))?;
    socket.listen()?;
    Ok(Value::Null)
}

async fn send3(port: u16) -> Socket3 {
    let socket = UdpSocket3::create(IpAddressFamily::Ipv4)?;
    socket
        .send(b"by a guest".to_vec(), Some(local(port)))
        .await?;
    Ok(Value::Null)
}

fn said<T: serde::Serialize, E: Display>(result: Result<T, E>) -> Value {
    outcome(result.map_err(|error| error.to_string()))
}

fn shown<E: std::fmt::Debug>(result: Result<Value, E>) -> Value {
    outcome(result.map_err(|error| format!("{error:?}")))
}
