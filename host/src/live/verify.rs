//! What a component has to be before it is run: one that exports an HTTP
//! handler, and imports what this host provides and its manifest entry grants.

use crate::engine::guest::Guest;
use crate::manifest::{ComponentSpec, VALKEY_SCHEMES};
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::handler::ProxyPre;

/// The component with its imports resolved.
///
/// # Errors
///
/// What it does not export, or what it imports and this host does not provide.
pub(super) fn link(
    linker: &Linker<Guest>,
    component: &Component,
) -> Result<ProxyPre<Guest>, String> {
    let ty = component.component_type();
    let engine = component.engine();
    let exports = |prefix: &str| ty.exports(engine).any(|(name, _)| name.starts_with(prefix));
    let is_p3 = exports("wasi:http/handler@0.3");
    if !is_p3 && !exports("wasi:http/incoming-handler@0.2") {
        return Err(
            "it exports no HTTP handler (wasi:http/handler@0.3 or incoming-handler@0.2)".into(),
        );
    }
    let pre = linker
        .instantiate_pre(component)
        .map_err(|error| unprovided(&format!("{error:#}")))?;
    let pre = if is_p3 {
        wasmtime_wasi_http::p3::bindings::ServicePre::new(pre).map(ProxyPre::P3)
    } else {
        wasmtime_wasi_http::p2::bindings::ProxyPre::new(pre).map(ProxyPre::P2)
    };
    pre.map_err(|error| unprovided(&format!("{error:#}")))
}

/// A release candidate of `wasi:http` has another shape under the same name.
fn unprovided(reason: &str) -> String {
    if reason.contains("@0.3.0-rc") {
        format!(
            "it was built for a release candidate of WASI 0.3 (spin-sdk 6 or older); \
             build it with spin-sdk 7: {reason}"
        )
    } else {
        format!("this host does not provide what it imports: {reason}")
    }
}

/// Refuses a component that imports what its manifest entry does not grant:
/// it could only ever fail.
///
/// # Errors
///
/// The import, and the key that would grant it.
pub(super) fn grants(component: &Component, spec: &ComponentSpec) -> Result<(), String> {
    let engine = component.engine();
    for (name, _) in component.component_type().imports(engine) {
        let missing = if name.starts_with("spin:postgres/") {
            !spec.allowed_outbound_hosts.has_scheme("postgres")
        } else if name.starts_with("spin:redis/") || name.starts_with("fermyon:spin/redis@") {
            let granted = |scheme: &&str| spec.allowed_outbound_hosts.has_scheme(scheme);
            !VALKEY_SCHEMES.iter().any(granted)
        } else {
            false
        };
        if missing {
            return Err(format!(
                "it imports {name}, and component.{}.allowed_outbound_hosts names no host for it",
                spec.id
            ));
        }
        let key_value =
            name.starts_with("spin:key-value/") || name.starts_with("fermyon:spin/key-value@");
        if key_value && spec.key_value_stores.is_empty() {
            return Err(format!(
                "it imports {name}, and component.{}.key_value_stores is empty",
                spec.id
            ));
        }
    }
    Ok(())
}
