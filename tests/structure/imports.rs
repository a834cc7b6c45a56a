//! Which file of a crate imports which, read from the source.
//!
//! An import counts for the file that defines what is imported, whichever folder's face it goes
//! through. What only tests import does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, File, Ident, Item, Macro, UseTree};

/// A module as the names on the way to it from the crate's root.
type Module = Vec<String>;

/// The files of a crate, and what they import of each other.
pub struct Structure {
    /// For each file, relative to the crate's `src`, those that it imports.
    pub imports: BTreeMap<String, BTreeSet<String>>,
}

/// One source file.
struct Source {
    path: String,
    syntax: File,
    /// What it hands on under a name of its own: paths from the crate's root.
    faces: BTreeMap<String, Vec<String>>,
}

impl Structure {
    /// Reads the crate whose `src` directory this is.
    ///
    /// # Panics
    /// When a file can't be read or is no Rust.
    pub fn of(src: &Path) -> Self {
        let mut sources = BTreeMap::new();
        for path in rust_files(src) {
            let text = fs::read_to_string(src.join(&path)).unwrap();
            let syntax = syn::parse_file(&text).unwrap_or_else(|why| panic!("{path}: {why}"));
            sources.insert(module_of(&path), Source { path, syntax, faces: BTreeMap::new() });
        }
        let modules: BTreeSet<Module> = sources.keys().cloned().collect();
        for (module, source) in &mut sources {
            for item in &source.syntax.items {
                let Item::Use(item) = item else { continue };
                if matches!(item.vis, syn::Visibility::Inherited) || is_for_tests(&item.attrs) {
                    continue;
                }
                for (path, name) in leaves(&item.tree) {
                    if let Some(path) = absolute(&path, module, &modules) {
                        source.faces.insert(name, path);
                    }
                }
            }
        }
        let mut imports = BTreeMap::new();
        for (module, source) in &sources {
            let is_face = source.path.ends_with("mod.rs") || source.path == "lib.rs";
            let mut paths = Paths { of: Vec::new(), is_face, depth: 0 };
            paths.visit_file(&source.syntax);
            let absolute = paths.of.iter().filter_map(|path| absolute(path, module, &modules));
            let files = absolute.filter_map(|path| file_of(&path, &sources));
            let others = files.filter(|file| *file != source.path);
            imports.insert(source.path.clone(), others.collect());
        }
        Self { imports }
    }

    /// Those of a folder alone.
    pub fn within(&self, folder: &str) -> Self {
        let inside =
            |file: &String| file.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
        let all = self.imports.iter();
        let imports = all.filter_map(|(file, imports)| {
            Some((inside(file)?, imports.iter().filter_map(inside).collect()))
        });
        Self { imports: imports.collect() }
    }

    /// The files that lie on a circle, and what they import of others on it.
    pub fn circles(&self) -> BTreeMap<String, BTreeSet<String>> {
        let reached: BTreeMap<&String, BTreeSet<&String>> =
            self.imports.keys().map(|file| (file, self.reached_from(file))).collect();
        let is_both_ways = |one: &String, other: &String| {
            reached[one].contains(other) && reached[other].contains(one)
        };
        let on_a_circle = self.imports.iter().filter(|(file, _)| is_both_ways(file, file));
        let of_it = |(file, imports): (&String, &BTreeSet<String>)| {
            let imports = imports.iter().filter(|imported| is_both_ways(file, imported));
            (file.clone(), imports.cloned().collect())
        };
        on_a_circle.map(of_it).collect()
    }

    /// The files that this one imports, those that they import, and so on.
    fn reached_from(&self, file: &str) -> BTreeSet<&String> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![file]);
        while let Some(file) = open.pop() {
            for imported in &self.imports[file] {
                if reached.insert(imported) {
                    open.push(imported);
                }
            }
        }
        reached
    }

    /// Imports from a room into another one that does not stand before it in `rooms`. A room is a
    /// folder or a file: the first of its name's parts.
    ///
    /// # Panics
    /// When a file is in none of the rooms.
    pub fn upward(&self, rooms: &[&str]) -> Vec<String> {
        let floor = |file: &str| {
            let room = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
            let floor = rooms.iter().position(|it| *it == room);
            floor.unwrap_or_else(|| panic!("{file} is in none of the rooms {rooms:?}"))
        };
        let pairs = self
            .imports
            .iter()
            .flat_map(|(file, imports)| imports.iter().map(move |imported| (file, imported)));
        let upward = pairs.filter(|(file, imported)| floor(file) < floor(imported));
        upward.map(|(file, imported)| format!("{file} imports {imported}")).collect()
    }
}

fn rust_files(src: &Path) -> Vec<String> {
    let (mut files, mut open) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(src.join(&directory)).unwrap() {
            let entry = entry.unwrap();
            let path = directory.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
                files.push(path.to_str().expect("a path of UTF-8").to_owned());
            }
        }
    }
    files
}

fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" | "main" => Vec::new(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<Ident>().is_ok_and(|what| what == "test")
    })
}

/// The paths of a `use`, each with the name under which it is known then.
fn leaves(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    match tree {
        UseTree::Path(path) => {
            let first = path.ident.to_string();
            let mut leaves = leaves(&path.tree);
            leaves.iter_mut().for_each(|(path, _)| path.insert(0, first.clone()));
            leaves
        }
        UseTree::Name(name) if name.ident == "self" => vec![(Vec::new(), String::new())],
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(it) => vec![(vec![it.ident.to_string()], it.rename.to_string())],
        UseTree::Glob(_) => vec![(Vec::new(), String::new())],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

/// A path that was written in `module`, from the crate's root; `None` if it leads out of the crate.
fn absolute(path: &[String], module: &Module, modules: &BTreeSet<Module>) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let within = |base: &[String], rest: &[String]| [base, rest].concat();
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some(within(module, rest)),
        "super" => {
            let (_, parent) = module.split_last()?;
            let rest = [vec!["self".to_owned()], rest.to_vec()].concat();
            let is_further = rest.get(1).is_some_and(|it| it == "super");
            absolute(if is_further { &rest[1..] } else { &rest }, &parent.to_vec(), modules)
        }
        _ => modules
            .contains(&within(module, std::slice::from_ref(first)))
            .then(|| within(module, path)),
    }
}

/// The file that defines what this path leads to.
fn file_of(path: &[String], sources: &BTreeMap<Module, Source>) -> Option<String> {
    let (mut module, mut rest) = (Vec::new(), path);
    while let [first, further @ ..] = rest {
        let inner = [module.clone(), vec![first.clone()]].concat();
        if !sources.contains_key(&inner) {
            break;
        }
        (module, rest) = (inner, further);
    }
    let source = sources.get(&module)?;
    let face = rest.first().and_then(|name| source.faces.get(name));
    match face {
        Some(face) if face[..] != *path => file_of(face, sources),
        _ => Some(source.path.clone()),
    }
}

/// All paths of a file that are written out, but for those that only tests use.
struct Paths {
    of: Vec<Vec<String>>,
    /// What a folder's own file hands on of the folder's files is no import of its own.
    is_face: bool,
    /// How many modules of this file are open.
    depth: usize,
}

impl Paths {
    /// `super` within a module of the file leads to the file itself.
    fn push(&mut self, path: Vec<String>) {
        let up = path.iter().take_while(|segment| *segment == "super").count();
        if up == 0 || up > self.depth {
            self.of.push(path.into_iter().skip(up.min(self.depth)).collect());
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if is_for_tests(attributes) {
            return;
        }
        if let Item::Use(item) = item {
            if !self.is_face || matches!(item.vis, syn::Visibility::Inherited) {
                leaves(&item.tree).into_iter().for_each(|(path, _)| self.push(path));
            }
            return;
        }
        let opens = usize::from(matches!(item, Item::Mod(_)));
        self.depth += opens;
        visit::visit_item(self, item);
        self.depth -= opens;
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // A single name may be anything, and that of `pub(crate)` too.
        if path.segments.len() > 1 {
            self.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    /// The words of a macro's call may be anything: those that look like paths are taken for some.
    fn visit_macro(&mut self, call: &'ast Macro) {
        let text = call.tokens.to_string().replace(" :: ", "::");
        let words = text.split(|it: char| !it.is_alphanumeric() && it != '_' && it != ':');
        let paths = words.filter(|word| word.starts_with("crate::"));
        self.of.extend(paths.map(|path| path.split("::").map(str::to_owned).collect()));
    }
}
