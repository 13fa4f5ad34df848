//! `[[trigger.http]]`: routes, and the components written inside of them.

use std::collections::HashSet;

use super::component::{self, Components};
use super::reader::{Node, Table};
use super::spec::Route;
use super::suggest;
use super::variables::Variables;
use crate::router::RoutePattern;

const TRIGGER_HELP: &str = "write a [[trigger.http]] with a route and a component";
const ROUTE_HELP: &str =
    "write a path, as in \"/users/:id\" or \"/files/...\"; or { private = true } for none";
const COMPONENT_HELP: &str = "write the name of a [component.NAME]";
const EXECUTOR_HELP: &str =
    "leave it out, and build the component for wasi:http (spin-sdk 3 or newer)";

/// All routes. A component that a trigger has written out is added to the others.
pub(super) fn read_all(
    root: &mut Table<'_>,
    components: &mut Components,
    variables: &Variables,
) -> Vec<Route> {
    let node = root.require("trigger", TRIGGER_HELP);
    let Some(table) = node.as_ref().and_then(Node::table) else {
        return Vec::new();
    };
    let mut triggers = Vec::new();
    let entries = table.entries();
    if let (true, Some(node)) = (entries.is_empty(), &node) {
        node.fault("there is no trigger: nothing would ever run", TRIGGER_HELP);
    }
    for (kind, node) in entries {
        if kind == "http" {
            triggers = node.list().unwrap_or_default();
        } else {
            node.fault(
                format!("this host has no triggers of the type {kind:?}"),
                "it serves [[trigger.http]] only",
            );
        }
    }
    let mut ids = Ids::of(&triggers);
    let mut routes: Vec<(Route, Node<'_>)> = Vec::new();
    for node in &triggers {
        let Some(trigger) = Trigger::read(node) else {
            continue;
        };
        let id = ids.trigger(trigger.id, trigger.component.as_ref());
        let component = match trigger.component {
            Some(node) if node.is_table() => {
                let name = ids.component(&id, components);
                if let Some(component) = component::read(&name, &node, variables) {
                    components.insert(name.clone(), component);
                }
                Some(name)
            }
            Some(node) => node.string().map(|name| {
                check_known(&node, name, components);
                name.to_owned()
            }),
            None => None,
        };
        if let (Some((pattern, node)), Some(component)) = (trigger.route, component) {
            check_distinct(&pattern, &node, &routes);
            routes.push((Route { pattern, component }, node));
        }
    }
    routes.into_iter().map(|(route, _)| route).collect()
}

struct Trigger<'a> {
    id: Option<&'a str>,
    component: Option<Node<'a>>,
    /// None for a private one.
    route: Option<(RoutePattern, Node<'a>)>,
}

impl<'a> Trigger<'a> {
    fn read(node: &Node<'a>) -> Option<Self> {
        let mut table = node.table()?;
        let route = table.require("route", ROUTE_HELP);
        let statics = table.get("static_response");
        let component = match &statics {
            Some(_) => table.get("component"),
            None => table.require("component", COMPONENT_HELP),
        };
        let id = table.get("id").and_then(|node| node.string());
        let executor = table.get("executor");
        for name in ["components", "dependencies"] {
            table.refuse(name, "a route has one component here", COMPONENT_HELP);
        }
        table.finish();
        if let Some(node) = statics {
            node.fault("this host sends no static responses", COMPONENT_HELP);
        }
        if let Some(node) = executor {
            check_executor(&node);
        }
        Some(Self {
            id: id.filter(|id| !id.is_empty()),
            component,
            route: route.and_then(|node| Some((read_route(&node)?, node))),
        })
    }
}

fn read_route(node: &Node<'_>) -> Option<RoutePattern> {
    if node.is_table() {
        let mut table = node.table()?;
        let private = table.require("private", ROUTE_HELP)?;
        table.finish();
        if private.boolean() == Some(false) {
            private.fault("a route that is not private has a path", ROUTE_HELP);
        }
        return None;
    }
    match RoutePattern::parse(node.string()?) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            node.fault(error.to_string(), error.help());
            None
        }
    }
}

fn check_executor(node: &Node<'_>) {
    let Some(mut table) = node.table() else {
        return;
    };
    let kind = table.require("type", "write { type = \"http\" }, or leave it out");
    match kind.as_ref().and_then(Node::string) {
        Some("http" | "spin") => table.finish(),
        Some("wagi") => node.fault("this host does not run Wagi modules", EXECUTOR_HELP),
        Some(other) => node.fault(format!("there is no executor {other:?}"), EXECUTOR_HELP),
        None => {}
    }
}

fn check_known(node: &Node<'_>, name: &str, components: &Components) {
    if !components.contains_key(name) {
        let names: Vec<&str> = components.keys().map(String::as_str).collect();
        let help = if names.is_empty() {
            format!("add a [component.{name}]")
        } else {
            suggest::help(name, &names, "the components are")
        };
        node.fault(format!("there is no component {name:?}"), help);
    }
}

fn check_distinct(pattern: &RoutePattern, node: &Node<'_>, routes: &[(Route, Node<'_>)]) {
    let same = |(route, _): &&(Route, Node<'_>)| route.pattern.same_paths(pattern);
    if let Some((route, other)) = routes.iter().find(same) {
        node.fault(
            format!(
                "{:?} is for the same paths as {:?} in line {}",
                pattern.raw(),
                route.pattern.raw(),
                other.line()
            ),
            "give each path one component",
        );
    }
}

/// Names for triggers and components that have none, as Spin makes them up: logs
/// and metrics then agree with those of `spin up`.
struct Ids(HashSet<String>);

impl Ids {
    fn of(triggers: &[Node<'_>]) -> Self {
        let id = |node: &Node<'_>| node.peek("id").map(str::to_owned);
        Self(triggers.iter().filter_map(id).collect())
    }

    fn trigger(&mut self, given: Option<&str>, component: Option<&Node<'_>>) -> String {
        if let Some(given) = given {
            return given.to_owned();
        }
        let named = component.filter(|node| !node.is_table());
        let named = named.and_then(Node::string);
        let natural = named.map(|name| format!("{name}-http-trigger"));
        let counted = (1..).map(|number: u64| format!("http-trigger{number}"));
        self.first_free(natural.into_iter().chain(counted))
    }

    fn component(&mut self, trigger: &str, components: &Components) -> String {
        let natural = format!("{trigger}-component");
        let natural = Some(natural).filter(|name| super::ident::is_kebab(name));
        let counted = (1..).map(|number: u64| format!("inline-component{number}"));
        let mut names = natural.into_iter().chain(counted);
        names
            .find(|name| !components.contains_key(name))
            .unwrap_or_default()
    }

    fn first_free(&mut self, names: impl Iterator<Item = String>) -> String {
        for name in names {
            if self.0.insert(name.clone()) {
                return name;
            }
        }
        String::new()
    }
}
