//! A port of this machine's that is kept for a server while that is away: whoever asks
//! for any port meanwhile would else be given this one, now and then.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::TcpSocket;

pub(crate) struct Port {
    number: u16,
    /// Bound, and not listened at: a server that shares its place can, and whoever
    /// connects meanwhile is refused, as where there is nothing.
    _socket: TcpSocket,
}

impl Port {
    /// Any that is free.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn free() -> io::Result<Self> {
        Self::keep(0)
    }

    /// This one, which nobody listens at just now.
    ///
    /// # Errors
    /// Where somebody does.
    pub(crate) fn keep(number: u16) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, number).into())?;
        Ok(Self {
            number: socket.local_addr()?.port(),
            _socket: socket,
        })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn one_that_is_kept_is_its_servers_to_listen_at() {
        let port = Port::free().unwrap();
        let place = (Ipv4Addr::LOCALHOST, port.number());
        let refused = TcpStream::connect(place).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        // As servers do, it says that it shares its place.
        let server = TcpListener::bind(place).unwrap();
        assert!(TcpStream::connect(place).is_ok());
        assert!(Port::keep(port.number()).is_err(), "it is listened at");
        drop((server, port));
        assert!(Port::keep(place.1).is_ok());
    }
}
