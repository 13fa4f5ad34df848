//! A network of the host's own, with three wires to this machine's: one to each
//! server, one for the clients. A wire that is cut is silent, as one is that was
//! pulled out somewhere on the way: no reset, no refusal.

use std::net::{IpAddr, Ipv4Addr};

use crate::world::run;

/// To PostgreSQL, to Valkey, to the clients.
const WIRES: usize = 3;
/// A neighbour's that does not exist.
const NOWHERE: &str = "02:00:00:00:00:ff";

/// It goes with this value.
pub(crate) struct Network {
    name: String,
    removed: bool,
}

impl Network {
    /// # Errors
    /// Where this is not root.
    pub(crate) async fn lay() -> anyhow::Result<Self> {
        let network = Self {
            name: format!("chaos{}", std::process::id()),
            removed: false,
        };
        run("ip", &["netns", "add", &network.name]).await?;
        network.inside(&["link", "set", "lo", "up"]).await?;
        for wire in 0..WIRES {
            let (near, far) = (network.device(wire, 'n'), network.device(wire, 'f'));
            let add = ["link", "add", &near, "type", "veth", "peer", "name", &far];
            run("ip", &[&add[..], &["netns", &network.name]].concat()).await?;
            let (at, there) = (network.near(wire), network.far(wire));
            run("ip", &["addr", "add", &format!("{at}/30"), "dev", &near]).await?;
            run(
                "ip",
                &["link", "set", &near, "up", "address", &mac(wire, 'n')],
            )
            .await?;
            let own = format!("{there}/30");
            network.inside(&["addr", "add", &own, "dev", &far]).await?;
            let up = ["link", "set", &far, "up", "address", &mac(wire, 'f')];
            network.inside(&up).await?;
            network.mend(wire).await?;
        }
        Ok(network)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// This machine's end of a wire.
    pub(crate) fn near(&self, wire: usize) -> IpAddr {
        end(wire, 1)
    }

    /// The host's end of a wire.
    pub(crate) fn far(&self, wire: usize) -> IpAddr {
        end(wire, 2)
    }

    /// Lets nothing through, in either direction.
    ///
    /// # Errors
    /// Where the wire is not there.
    pub(crate) async fn cut(&self, wire: usize) -> anyhow::Result<()> {
        self.address(wire, NOWHERE, NOWHERE).await
    }

    /// # Errors
    /// Where the wire is not there.
    pub(crate) async fn mend(&self, wire: usize) -> anyhow::Result<()> {
        self.address(wire, &mac(wire, 'n'), &mac(wire, 'f')).await
    }

    /// # Errors
    /// Where it is gone already.
    pub(crate) async fn remove(mut self) -> anyhow::Result<()> {
        self.removed = true;
        // The wires go with it.
        run("ip", &["netns", "del", &self.name]).await
    }

    /// Says to each end which device the other has.
    async fn address(&self, wire: usize, near: &str, far: &str) -> anyhow::Result<()> {
        let (at, there) = (self.near(wire).to_string(), self.far(wire).to_string());
        let (near_device, far_device) = (self.device(wire, 'n'), self.device(wire, 'f'));
        let replace = |address, mac, device| {
            [
                "neigh",
                "replace",
                address,
                "lladdr",
                mac,
                "dev",
                device,
                "nud",
                "permanent",
            ]
        };
        run("ip", &replace(&there, far, &near_device)).await?;
        self.inside(&replace(&at, near, &far_device)).await
    }

    async fn inside(&self, arguments: &[&str]) -> anyhow::Result<()> {
        run("ip", &[&["-n", &self.name], arguments].concat()).await
    }

    fn device(&self, wire: usize, end: char) -> String {
        format!("w{}{end}{wire}", std::process::id())
    }
}

impl Drop for Network {
    /// Whatever became of the scenario: wires that stay lead nowhere.
    fn drop(&mut self) {
        if !self.removed {
            let mut command = std::process::Command::new("ip");
            let _ = command.args(["netns", "del", &self.name]).status();
        }
    }
}

/// Addresses set aside for measurements between networks: nobody else's, and sixteen of
/// them this process's own. There may be another that does the same.
fn end(wire: usize, end: u8) -> IpAddr {
    const ALL: u32 = u32::from_be_bytes([198, 18, 0, 0]);
    let own = std::process::id() % (1 << 13) * 16;
    let within = u32::try_from(wire * 4).unwrap_or(u32::MAX) + u32::from(end);
    Ipv4Addr::from(ALL + own + within).into()
}

fn mac(wire: usize, end: char) -> String {
    let last = if end == 'n' { 1 } else { 2 };
    format!("02:00:00:00:{wire:02x}:{last:02x}")
}
