//! How many descriptors the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Beside the connections of clients: pools, files, listeners, logs.
const OTHERS: u64 = 256;

/// Raises the limit to what the system allows, and says when that is less than
/// `connections` clients and the host itself need. The usual soft limit, 1,024,
/// is a leftover of `select`, and a burst of clients is above it.
pub(super) fn raise(connections: u32) {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        maximum: limits.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("the limit of open descriptors cannot be raised: {error}");
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let wanted = u64::from(connections) + OTHERS;
    if allowed < wanted {
        tracing::warn!(
            allowed,
            wanted,
            "fewer descriptors than limits.connections needs: raise `ulimit -n`"
        );
    }
}
