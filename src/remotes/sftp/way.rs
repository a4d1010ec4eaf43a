//! Whether there is any way through the network to a server that could not be reached: no route, or no
//! network at all, is another thing than a server that is gone.
//!
//! Real name and port are the ones of the person's ssh configuration (`ssh -G`); of hosts that are jumped
//! over, the first counts. Behind a `ProxyCommand` nothing is known. The kernel is asked for a route by
//! connecting a UDP socket, which sends nothing: that the neighbour does not answer is none of its answers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use tokio::process::Command;
use tokio::time::timeout;

use super::ssh::Target;

/// For what `ssh` reads of its configuration, and for finding a name's addresses.
const WAIT: Duration = Duration::from_secs(5);
/// Of a chain of hosts that are jumped over, in case it is a circle.
const JUMPS: usize = 8;

/// What is known about the way to a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// There is a route to it.
    Exists,
    /// The kernel knows none.
    None,
    /// Its name leads nowhere; `network` is whether this computer is in any network.
    Nameless {
        network: bool,
    },
    Unknown,
}

/// Where `ssh` connects to first, as `ssh -G` prints it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum First {
    At {
        host: String,
        port: u16,
    },
    /// Over this one, as `ssh` takes it.
    Jump(String),
    Hidden,
}

/// Looks for the way that a target's connections take.
pub async fn way(target: &Target) -> Way {
    let mut asked = target.describe();
    for _ in 0..JUMPS {
        match timeout(WAIT, first(asked)).await {
            Ok(Some(First::At { host, port })) => return to(&host, port).await,
            Ok(Some(First::Jump(host))) => asked = target.describe_jump(&host),
            Ok(Some(First::Hidden) | None) | Err(_) => return Way::Unknown,
        }
    }
    Way::Unknown
}

async fn first(mut asked: Command) -> Option<First> {
    let output = asked.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).output().await.ok()?;
    if !output.status.success() {
        return None;
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(described: &str) -> Option<First> {
    let value = |key: &str| {
        let line = described.lines().find_map(|line| line.split_once(' ').filter(|(k, _)| *k == key));
        line.map(|(_, value)| value.trim()).filter(|value| !value.is_empty() && *value != "none")
    };
    if let Some(jumps) = value("proxyjump") {
        return jumps.split(',').next().map(|jump| First::Jump(jump.to_owned()));
    }
    if value("proxycommand").is_some() {
        return Some(First::Hidden);
    }
    Some(First::At { host: value("hostname")?.to_owned(), port: value("port")?.parse().ok()? })
}

async fn to(host: &str, port: u16) -> Way {
    match timeout(WAIT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => routed(addresses),
        Ok(Err(_)) => Way::Nameless { network: is_any_network() },
        // Who is asked for it does not answer, or cannot be reached either.
        Err(_) => Way::Nameless { network: is_any_network() },
    }
}

fn routed(addresses: impl Iterator<Item = SocketAddr>) -> Way {
    let mut way = Way::Unknown;
    for address in addresses {
        match route(address) {
            Ok(()) => return Way::Exists,
            Err(error) if is_no_route(&error) => way = Way::None,
            Err(error) => {
                tracing::debug!(%address, %error, "whether there is a route is not known");
                return Way::Unknown;
            }
        }
    }
    way
}

/// Asks the kernel; nothing is sent.
fn route(to: SocketAddr) -> io::Result<()> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0))?.connect(to)
}

/// None at all, one that says so, or none from an address of ours; or no such protocol here.
fn is_no_route(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT)
    )
}

/// Whether there is a default route or an address that leads out of this computer.
fn is_any_network() -> bool {
    // Addresses set aside for documentation: whatever leads there is a default route.
    let outside: [IpAddr; 2] =
        [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()];
    outside.into_iter().any(|address| route(SocketAddr::new(address, 9)).is_ok()) || has_address()
}

fn has_address() -> bool {
    use nix::net::if_::InterfaceFlags;
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return true };
    all.filter(|one| one.flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING))
        .filter(|one| !one.flags.contains(InterfaceFlags::IFF_LOOPBACK))
        .filter_map(|one| one.address)
        .any(|address| match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(_), _) => true,
            // An address of the link alone is had without any network.
            (_, Some(v6)) => !v6.ip().is_unicast_link_local(),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ssh_says_of_a_host() {
        let plain = "user me\nhostname 10.0.0.1\nport 2222\nproxyjump none\nproxycommand none\n";
        assert_eq!(parse(plain), Some(First::At { host: "10.0.0.1".into(), port: 2222 }));
        let jump = format!("{plain}proxyjump a@gate:2200,inner\n").replace("proxyjump none\n", "");
        assert_eq!(parse(&jump), Some(First::Jump("a@gate:2200".into())));
        let hidden = plain.replace("proxycommand none", "proxycommand nc %h %p");
        assert_eq!(parse(&hidden), Some(First::Hidden));
        assert_eq!(parse("usage: something else"), None);
    }

    #[tokio::test]
    async fn loopback_is_a_way_and_a_name_that_leads_nowhere_is_none() {
        assert_eq!(to("127.0.0.1", 1).await, Way::Exists);
        assert!(matches!(to("nowhere.invalid", 22).await, Way::Nameless { .. }));
    }
}
