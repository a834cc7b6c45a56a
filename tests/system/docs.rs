//! The book and the README say what is so: their configurations are accepted, their commands
//! exist, and their tables of keys, headers, reasons and actions are complete.
//!
//! What is true is asked of comux itself: its parser, its vocabulary, and the binary's `--help`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use comux::config::Config;
use comux::record::{FailReason, SkipReason, Status, header};
use comux_tests::markdown::{Page, quoted};
use comux_tests::process::run_to_end;
use comux_tests::{PATIENCE, tests_dir};

/// The least that a configuration needs.
const LEAST: &str = "[kafka]\nbootstrap_servers = 'localhost:9092'\n";

/// Where the book links to the repository's files.
const REPOSITORY: &str = "https://github.com/comux/comux/";

/// The sections of the reference: the heading of each, and a file that has a key `bogus` there.
const SECTIONS: [(&str, &str); 13] = [
    ("`[runtime]`", "[runtime]\nbogus = 1"),
    ("`[kafka]`", "[kafka]\nbogus = 1"),
    ("`[kafka.consume]`", "[kafka.consume]\nbogus = 1"),
    ("`[topics]`", "[topics]\nbogus = 1"),
    ("`[limits]`", "[limits]\nbogus = 1"),
    ("`[quota]`", "[quota]\nbogus = 1"),
    ("`[security]`", "[security]\nbogus = 1"),
    ("`[[cameras]]`", "[[cameras]]\nbogus = 1"),
    ("`plugins`", "[[cameras]]\nplugins = [{ bogus = 1 }]"),
    ("`breaker`", "[[cameras]]\nbreaker = { bogus = 1 }"),
    ("`[[tenants]]`", "[[tenants]]\nbogus = 1"),
    ("`[tenants.kafka]`", "[[tenants]]\n[tenants.kafka]\nbogus = 1"),
    ("", "bogus = 1"),
];

fn root() -> PathBuf {
    tests_dir().parent().expect("the repository").to_owned()
}

fn chapter(name: &str) -> Page {
    Page::read(&root().join("docs/src").join(name))
}

/// The README, the other pages beside it, and the book.
fn pages() -> Vec<Page> {
    let markdown = |directory: PathBuf| {
        let files =
            fs::read_dir(directory).expect("a directory").map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == "md"))
    };
    let pages = markdown(root()).chain(markdown(root().join("docs/src")));
    let pages: Vec<Page> = pages.map(|path| Page::read(&path)).collect();
    assert!(pages.len() > 10, "the book has chapters");
    pages
}

fn parse(text: &str) -> Result<Config, String> {
    let (file, directory) = (Path::new("comux.toml"), Path::new("/srv/comux"));
    Config::parse(text, file, directory).map_err(|error| error.to_string())
}

#[test]
fn every_configuration_is_accepted() {
    let mut count = 0;
    for page in pages() {
        for block in page.blocks() {
            let text = match block.info {
                "toml" => block.text,
                "toml,fragment" => format!("{LEAST}{}", block.text),
                info => {
                    assert!(!info.starts_with("toml"), "{}: `{info}`", page.place(block.number));
                    continue;
                }
            };
            count += 1;
            if let Err(error) = parse(&text) {
                panic!("{}: {error}", page.place(block.number));
            }
        }
    }
    assert!(count > 3, "{count} configurations");
}

#[test]
fn every_command_and_its_flags_exist() {
    let mut help = BTreeMap::new();
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for page in pages() {
        let mut lines: Vec<(usize, String)> = Vec::new();
        for block in page.blocks().into_iter().filter(|block| block.info == "sh") {
            let text = block.text.replace("\\\n", " ");
            lines.extend(text.lines().map(|line| (block.number, line.to_owned())));
        }
        let spans = page.code_spans().into_iter();
        lines.extend(spans.map(|(number, span)| (number, span.to_owned())));
        for (number, line) in lines {
            let words = words(&line);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let place = page.place(number);
            match words[..] {
                ["make", target, ..] => {
                    let rule = format!("\n{target}:");
                    assert!(makefile.contains(&rule), "{place}: no target for `{line}`");
                }
                [program, _, ..] if program == "comux" || program.ends_with("/comux") => {
                    check_command(&mut help, &words[1..], &format!("{place}: `{line}`"));
                }
                _ => {}
            }
        }
    }
    assert!(help.len() > 8, "most commands are in the book: {:?}", help.keys());
}

/// `--help` tells of the command, and of all flags among its `words`.
fn check_command(help: &mut BTreeMap<String, String>, words: &[&str], place: &str) {
    let length = if words[0] == "plugin" { 2 } else { 1 };
    let command = words.get(..length).unwrap_or_else(|| panic!("{place}: which command?"));
    let help = help.entry(command.join(" ")).or_insert_with(|| {
        let output = run_to_end(&[command, &["--help"]].concat(), PATIENCE);
        assert_eq!(output.status.code(), Some(0), "{place}: no such command");
        String::from_utf8(output.stdout).unwrap()
    });
    let known = |flag: &str| help.split([' ', '\n', ',', '[', ']', '=']).any(|word| word == flag);
    for flag in words.iter().filter(|word| word.starts_with('-') && word.len() > 1) {
        let flag = flag.split('=').next().unwrap_or(flag);
        assert!(known(flag), "{place}: there is no `{flag}`:\n{help}");
    }
}

/// The words of a line as a shell takes it: quotes are one word, and a comment none.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quote) = (Vec::new(), None);
    let mut word = None::<String>;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ') => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[test]
fn the_tables_of_headers_and_reasons_are_those_of_the_runtime() {
    let page = chapter("headers.md");
    let rows = page.rows();
    let of_runtime = rows.iter().filter(|row| row.heading == "Output headers");
    let names: Vec<&str> = of_runtime.flat_map(|row| quoted(row.cells[0])).collect();
    assert_eq!(names, header::ALL);

    let skipped = SkipReason::ALL.map(Status::Skipped);
    let failed = FailReason::ALL.map(Status::Failed);
    let statuses = [Status::Analysed, Status::Passthrough].into_iter().chain(skipped).chain(failed);
    let expected: Vec<_> = statuses.map(|it| (it.word(), it.reason().unwrap_or(""))).collect();
    let table = rows.iter().filter(|row| row.columns.starts_with(&["status", "reason"]));
    let table: Vec<_> =
        table.map(|row| (row.cells[0].trim_matches('`'), row.cells[1].trim_matches('`'))).collect();
    assert_eq!(table, expected);
}

#[test]
fn the_table_of_actions_is_the_one_of_the_command() {
    let output = run_to_end(&["control", "--help"], PATIENCE);
    let help = String::from_utf8(output.stdout).unwrap();
    let (_, actions) = help.split_once("Actions: ").expect("actions");
    let (actions, _) = actions.split_once('.').expect("a full stop");
    let page = chapter("control.md");
    let rows = page.rows();
    let rows = rows.iter().filter(|row| row.heading == "Actions");
    let written: Vec<&str> = rows.flat_map(|row| quoted(row.cells[0])).collect();
    assert_eq!(written, actions.split(", ").collect::<Vec<_>>());
}

#[test]
fn the_reference_has_every_key_of_the_configuration_and_no_other() {
    let page = chapter("configuration.md");
    let rows = page.rows();
    let tables: Vec<_> = rows.iter().filter(|row| row.columns[0] == "key").collect();
    for (heading, file) in SECTIONS {
        let known = known_keys(file);
        let written: BTreeSet<&str> = match heading {
            // The tables of the file itself: each has a section.
            "" => page.lines().iter().filter_map(|line| table_of(line.text)).collect(),
            _ => {
                let rows = tables.iter().filter(|row| row.heading == heading);
                rows.flat_map(|row| quoted(row.cells[0])).collect()
            }
        };
        let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
        assert_eq!(written, known, "{heading}");
    }
    let headings: BTreeSet<&str> = tables.iter().map(|row| row.heading).collect();
    let sections = SECTIONS.iter().map(|(heading, _)| *heading);
    assert_eq!(headings, sections.filter(|heading| !heading.is_empty()).collect(), "sections");
}

/// The keys that the parser expects where `file` has the key `bogus`.
fn known_keys(file: &str) -> Vec<String> {
    let least = if file.contains("[kafka]") { "" } else { LEAST };
    // What stands before the first table belongs before it.
    let text =
        if file.starts_with('[') { format!("{least}{file}") } else { format!("{file}\n{least}") };
    let refusal = parse(&text).expect_err("`bogus` is no key");
    let (_, expected) = refusal.split_once("expected").unwrap_or_else(|| panic!("{refusal}"));
    quoted(expected).into_iter().map(str::to_owned).collect()
}

/// The table of the file that a heading is of: `kafka` of "## `[kafka]`".
fn table_of(line: &str) -> Option<&str> {
    let name = line.strip_prefix("## `[")?.strip_suffix("]`")?;
    Some(name.trim_matches(['[', ']']))
}

#[test]
fn the_reference_has_the_limits_that_hold_where_nobody_sets_any() {
    let config = parse(&format!("{LEAST}[[cameras]]\nid = 'a'")).expect("valid");
    let breaker = config.terms_of(&config.cameras[0]).breaker;
    let page = chapter("configuration.md");
    let defaults = |heading: &str| -> BTreeMap<String, String> {
        let rows = page.rows().into_iter().filter(|row| row.heading == heading);
        let cell = |row: &[&str], column: usize| row[column].trim_matches('`').to_owned();
        rows.map(|row| {
            let default = row.columns.iter().position(|column| *column == "default").unwrap();
            (cell(&row.cells, 0), cell(&row.cells, default))
        })
        .collect()
    };
    assert_eq!(defaults("`[limits]`"), fields(&format!("{:?}", config.limits)));
    assert_eq!(defaults("`breaker`"), fields(&format!("{breaker:?}")));
}

/// The fields of a struct, as `Debug` prints them: `Name { key: 1, other: 2 }`.
fn fields(debug: &str) -> BTreeMap<String, String> {
    let (_, fields) = debug.trim_end_matches('}').split_once('{').expect("a struct");
    let field = |field: &str| field.split_once(": ").map(|(key, value)| (key.into(), value.into()));
    fields.split(',').filter_map(|text| field(text.trim())).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    for page in &pages {
        for (number, target) in page.links() {
            let place = page.place(number);
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if let Some(file) = file.strip_prefix(REPOSITORY) {
                // Behind `blob/main/` or `tree/main/`; other pages of the site are its own.
                let Some((_, file)) = file.split_once("/main/") else { continue };
                root().join(file)
            } else if file.contains("://") {
                continue;
            } else if file.is_empty() {
                page.path.clone()
            } else {
                page.path.parent().expect("a directory").join(file)
            };
            assert!(path.exists(), "{place}: there is no {}", path.display());
            if !anchor.is_empty() {
                let anchors = Page::read(&path).anchors();
                assert!(anchors.iter().any(|it| it == anchor), "{place}: {anchor} of {anchors:?}");
            }
        }
    }
}

#[test]
fn the_summary_has_every_chapter() {
    let page = chapter("SUMMARY.md");
    let named: BTreeSet<PathBuf> =
        page.links().into_iter().map(|(_, file)| root().join("docs/src").join(file)).collect();
    let chapters = pages().into_iter().map(|page| page.path);
    let chapters: BTreeSet<PathBuf> =
        chapters.filter(|path| path.parent() == page.path.parent() && *path != page.path).collect();
    assert_eq!(named, chapters);
}

#[test]
fn the_readme_is_one_screen_and_lines_are_narrow() {
    let readme = fs::metadata(root().join("README.md")).unwrap().len();
    assert!(readme <= 8192, "the README has {readme} bytes");
    for page in pages() {
        for (number, line) in (1..).zip(page.text.lines()) {
            let width = line.chars().count();
            let is_narrow = width <= 100 || line.starts_with('|');
            assert!(is_narrow, "{}: {width} letters", page.place(number));
        }
    }
}
