//! No circles between the files of one module, but those of Rust's own: a `mod.rs` and the files
//! below it.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{absolute, exports, paths};
use super::layers::{module_path, sources};

/// Modules whose files still import each other in a circle. The list only gets shorter.
const KNOWN: [&str; 0] = [];

type Module = Vec<String>;

#[test]
fn files_of_a_module_import_each_other_in_one_direction() {
    let files: BTreeMap<Module, String> = sources()
        .into_iter()
        .map(|(path, code)| (module_path(&path), code))
        .filter(|(module, _)| module.len() > 1 || module.first().is_some_and(|name| name != "lib"))
        .collect();
    let edges = edges(&files);
    assert!(edges.len() > 20, "only {} imports were seen", edges.len());
    let circles = circles(&edges);
    let modules: BTreeSet<&str> = circles.iter().map(|circle| circle[0][0].as_str()).collect();
    let shown: Vec<String> = circles
        .iter()
        .map(|circle| {
            circle
                .iter()
                .map(|module| module.join("/"))
                .collect::<Vec<_>>()
                .join(", ")
        })
        .collect();
    assert_eq!(
        modules.into_iter().collect::<Vec<_>>(),
        KNOWN,
        "modules with circles, and those that are known to have one; the circles:\n{}",
        shown.join("\n")
    );
}

#[test]
fn a_circle_is_found_and_a_parent_with_its_child_is_none() {
    let file = |path: &str, code: &str| {
        let module: Module = path.split('/').map(str::to_owned).collect();
        (module, code.to_owned())
    };
    let files = BTreeMap::from([
        file("a", "mod b;\npub use self::b::B;\npub use self::c::C;"),
        file("a/b", "use super::C;\nuse super::Shared;"),
        file("a/c", "use crate::a::d::D;"),
        file("a/d", "use crate::a::b;"),
        file("a/e", "use super::b::B;"),
    ]);
    let found = circles(&edges(&files));
    let found: Vec<String> = found
        .concat()
        .iter()
        .map(|module| module.join("/"))
        .collect();
    assert_eq!(found, ["a/b", "a/c", "a/d"]);
}

/// From each file to the files of its own top module that it imports from, a `mod.rs` and the files
/// below it apart.
fn edges(files: &BTreeMap<Module, String>) -> BTreeSet<(Module, Module)> {
    let mut edges = BTreeSet::new();
    for (from, code) in files {
        for path in paths(code, &["crate", "super", "self"]) {
            let Some(target) = absolute(&path, from) else {
                continue;
            };
            let Some(to) = home(files, &target, 0) else {
                continue;
            };
            if to[0] == from[0] && !to.starts_with(from) && !from.starts_with(&to) {
                edges.insert((from.clone(), to));
            }
        }
    }
    edges
}

/// The file that a path is declared in; a name that a `mod.rs` only passes on is followed.
fn home(files: &BTreeMap<Module, String>, path: &[String], depth: usize) -> Option<Module> {
    let file = (1..=path.len())
        .rev()
        .map(|length| &path[..length])
        .find(|part| files.contains_key(*part))?;
    let passed_on = path.get(file.len()).and_then(|name| {
        let exports = exports(&files[file]);
        let (_, path) = exports.into_iter().find(|(exported, _)| exported == name)?;
        absolute(&path, file)
    });
    match passed_on {
        Some(next) if depth < 8 && next != path => home(files, &next, depth + 1),
        _ => Some(file.to_vec()),
    }
}

/// Groups of files that can all be reached from each other.
fn circles(edges: &BTreeSet<(Module, Module)>) -> Vec<Vec<Module>> {
    let reached = |from: &Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(at) = open.pop() {
            for (_, to) in edges.iter().filter(|(edge, _)| *edge == at) {
                if seen.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        seen
    };
    let files: BTreeSet<&Module> = edges.iter().map(|(from, _)| from).collect();
    let reach: BTreeMap<&Module, BTreeSet<Module>> = files
        .into_iter()
        .map(|file| (file, reached(file)))
        .collect();
    let mut circles: Vec<Vec<Module>> = Vec::new();
    for (file, others) in &reach {
        let is_new = !circles.iter().any(|circle| circle.contains(file));
        if others.contains(*file) && is_new {
            let back =
                |other: &&Module| reach.get(other).is_some_and(|reach| reach.contains(*file));
            circles.push(others.iter().filter(back).cloned().collect());
        }
    }
    circles
}
