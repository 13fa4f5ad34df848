//! Has the linker leave the table's size open: it would be all that the component
//! has, and the host's limit be reached by none.

fn main() {
    println!("cargo::rustc-link-arg-cdylib=--growable-table");
    println!("cargo::rerun-if-changed=build.rs");
}
