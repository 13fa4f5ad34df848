//! What deserves a word though it is no fault.

use super::Spec;

impl Spec {
    /// What of the manifest has no effect here, or less than it seems to.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (id, component) in &self.components {
            let private = component.stream.is_some() || component.repair.is_some();
            if !private && !self.routes.iter().any(|route| route.component == *id) {
                notes.push(format!("component.{id}: no route leads to it"));
            }
            for label in &component.key_value_stores {
                if !self.key_value.contains_key(label) {
                    notes.push(format!(
                        "component.{id}.key_value_stores: {label:?} has no Valkey behind it; \
                         opening it fails"
                    ));
                }
            }
            let hosts = &component.allowed_outbound_hosts;
            for host in hosts.iter().filter(|host| host.is_internal()) {
                notes.push(format!(
                    "component.{id}.allowed_outbound_hosts: {host} grants nothing; components do \
                     not reach each other through this host"
                ));
            }
        }
        for label in self.key_value.keys() {
            let granted = |stores: &[String]| stores.contains(label);
            let mut components = self.components.values();
            if !components.any(|component| granted(&component.key_value_stores)) {
                notes.push(format!(
                    "application.tool.warmlink.key_value.{label}: no component is granted it"
                ));
            }
        }
        notes
    }
}
