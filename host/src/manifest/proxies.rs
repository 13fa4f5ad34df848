//! The proxies whose word for a client's address is taken.

use std::net::IpAddr;

use ipnet::IpNet;

use super::reader::Node;
use super::variables::Variables;

const HELP: &str = "write an address or a network, as in \"10.0.0.0/8\" or \"2001:db8::/32\"";

/// Reads `trusted_proxies`. An entry that a variable leaves empty is none.
pub(super) fn read(node: &Node<'_>, variables: &Variables) -> Vec<IpNet> {
    let mut networks: Vec<IpNet> = Vec::new();
    for node in node.list().unwrap_or_default() {
        let Some(value) = variables.resolve(&node) else {
            continue;
        };
        let text = value.expose().trim();
        // A text that came of a secret is none to show.
        let shown = || match value.is_secret() {
            true => "this".to_owned(),
            false => format!("{text:?}"),
        };
        match network(text) {
            None if text.is_empty() => {}
            None => node.fault(
                format!("{} is neither an address nor a network", shown()),
                HELP,
            ),
            Some(IpNet::V6(mapped)) if mapped.addr().to_ipv4_mapped().is_some() => node.fault(
                format!("{} is an IPv4 network in the clothes of IPv6", shown()),
                "write it as IPv4, which is meant for clients of either kind of socket",
            ),
            Some(network) if networks.contains(&network) => {
                node.fault(format!("{} is here a second time", shown()), "leave it out");
            }
            Some(network) => networks.push(network),
        }
    }
    networks
}

/// A network, without the bits that are its hosts'.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse::<IpNet>().ok();
    network
        .or_else(|| Some(IpNet::from(text.parse::<IpAddr>().ok()?)))
        .map(|network| network.trunc())
}
