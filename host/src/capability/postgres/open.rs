//! From an address to a handle: what the grants allow, and no I/O.

use super::{Builder, Connection, Failure};
use crate::capability::{Grants, View};
use crate::manifest::AllowedHosts;
use crate::pool::Found;
use crate::pool::postgres::{PostgresPool, Target};
use std::fmt::Display;
use std::sync::Arc;
use wasmtime::component::Resource;

/// Root certificates are kept for as long as the pool they make, which is for
/// good: a guest must not make the host remember just anything.
const CA_ROOT_LIMIT: usize = 256 << 10;

/// A handle on the database at `address`.
pub(super) fn open(
    view: View<'_>,
    address: &str,
    ca_root: Option<&str>,
) -> Result<Resource<Connection>, Failure> {
    let known = view.state.opened.postgres.get(address);
    let pool = match known.filter(|_| ca_root.is_none()) {
        Some(pool) => pool.clone(),
        None => {
            let found = find(&view.state.grants, address, ca_root)?;
            if ca_root.is_none() {
                view.state.opened.postgres.remember(address, &found);
            }
            found.pool
        }
    };
    let session = pool.session();
    view.table
        .push(Connection(Arc::new(session)))
        .map_err(|_| table_full())
}

/// The pool of an address, if the component may open it.
fn find(
    grants: &Grants,
    address: &str,
    ca_root: Option<&str>,
) -> Result<Found<PostgresPool>, Failure> {
    let target = target(grants, address, ca_root).inspect_err(|refusal| warn(grants, refusal))?;
    grants
        .pools
        .postgres(&target)
        .map_err(|error| Failure::Connection(error.to_string()))
}

pub(super) fn close(view: &mut View<'_>, connection: Resource<Connection>) -> wasmtime::Result<()> {
    view.table.delete(connection)?;
    Ok(())
}

/// Notes the certificate authority that the builder's connection is to trust.
pub(super) fn set_ca_root(
    view: &mut View<'_>,
    builder: &Resource<Builder>,
    certificate: String,
) -> wasmtime::Result<Result<(), Failure>> {
    if certificate.len() > CA_ROOT_LIMIT {
        let refusal = Failure::Connection(format!(
            "the root certificates are larger than {CA_ROOT_LIMIT} bytes"
        ));
        warn(&view.state.grants, &refusal);
        return Ok(Err(refusal));
    }
    view.table.get_mut(builder)?.ca_root = Some(certificate);
    Ok(Ok(()))
}

/// Opens what the builder describes; it can be used again.
pub(super) fn build(
    view: View<'_>,
    builder: &Resource<Builder>,
) -> wasmtime::Result<Result<Resource<Connection>, Failure>> {
    let Builder { address, ca_root } = view.table.get(builder)?;
    // Copied: the handle goes into the table that the builder is in.
    let (address, ca_root) = (address.clone(), ca_root.clone());
    Ok(open(view, &address, ca_root.as_deref()))
}

fn target(grants: &Grants, address: &str, ca_root: Option<&str>) -> Result<Target, Failure> {
    let target = parse(&grants.hosts, address, ca_root)?;
    // The node's operator may name a file; a guest that repeats the operator's
    // address finds the pool made with it. A guest of itself has the host read
    // nothing.
    if target.names_a_file() && !grants.pools.has_postgres(&target) {
        return Err(Failure::connection(
            "`sslrootcert` names a file, and no pool is declared with it; \
             use `set-ca-root` of the connection builder",
        ));
    }
    Ok(target)
}

/// Reads an address and checks it against what is allowed. No text of an error
/// quotes more of the address than its origin.
fn parse(allowed: &AllowedHosts, address: &str, ca_root: Option<&str>) -> Result<Target, Failure> {
    let invalid = |error: &dyn Display| Failure::connection(format!("invalid address: {error}"));
    let mut target = Target::parse(address).map_err(|error| invalid(&error))?;
    for origin in target.origins() {
        if !allowed.allows(origin.scheme, &origin.host, origin.port) {
            return Err(Failure::connection(format!(
                "{origin} is not among the component's allowed_outbound_hosts"
            )));
        }
    }
    if let Some(pem) = ca_root {
        target = target.with_root_certificates(pem.as_bytes());
        target.check().map_err(Failure::connection)?;
    }
    Ok(target)
}

fn warn(grants: &Grants, refusal: &Failure) {
    tracing::warn!(component = %grants.component, "postgres address refused: {refusal}");
}

fn table_full() -> Failure {
    Failure::connection("too many connections: the component's limit of handles is reached")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::AllowedHost;

    const CA: &str = include_str!("../../pool/postgres/test_ca.pem");

    fn parsed(address: &str, ca_root: Option<&str>) -> Result<Target, String> {
        let allowed: AllowedHosts = ["postgres://db.example:5432", "postgres://[::1]:6000"]
            .iter()
            .map(|entry| entry.parse::<AllowedHost>().unwrap())
            .collect();
        parse(&allowed, address, ca_root).map_err(|failure| failure.to_string())
    }

    #[test]
    fn an_allowed_address_is_taken_however_it_is_written() {
        for address in [
            "postgres://app:s3cret@db.example/shop",
            "postgresql://app:s3cret@DB.example:5432/shop",
            "host=db.example user=app password=s3cret",
            "postgres://app@[::1]:6000/shop",
        ] {
            parsed(address, None).unwrap_or_else(|error| panic!("{address}: {error}"));
        }
    }

    #[test]
    fn a_refusal_names_the_origin_and_the_grant_but_no_password() {
        for (address, origin) in [
            (
                "postgres://app:s3cret@other.example/shop",
                "postgres://other.example:5432",
            ),
            (
                "postgres://app:s3cret@db.example:5433/shop",
                "postgres://db.example:5433",
            ),
            (
                "host=/run/postgresql user=app password=s3cret",
                "/run/postgresql",
            ),
            // The name is allowed, but where the connection would go is not.
            (
                "host=db.example hostaddr=10.0.0.1 user=app password=s3cret",
                "10.0.0.1",
            ),
        ] {
            let error = parsed(address, None).unwrap_err();
            assert!(error.contains(origin), "{error}");
            assert!(error.contains("allowed_outbound_hosts"), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_read_is_refused_without_quoting_it() {
        for address in ["", "mysql://app:s3cret@db.example/shop", "password='s3cret"] {
            let error = parsed(address, None).unwrap_err();
            assert!(error.starts_with("invalid address: "), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_root_certificate_is_part_of_the_target() {
        let address = "postgres://app@db.example/shop";
        let plain = parsed(address, None).unwrap();
        let trusting = parsed(address, Some(CA)).unwrap();
        assert_ne!(plain, trusting);
        assert_eq!(trusting, parsed(address, Some(CA)).unwrap());
        for bad in ["", "not PEM", &CA[..CA.len() / 2]] {
            let error = parsed(address, Some(bad)).unwrap_err();
            assert!(error.contains("root certificates"), "{error}");
        }
    }
}
