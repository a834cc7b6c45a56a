//! Pages of Markdown, as far as tests need to read them: blocks of code, tables, links, headings.

use std::fs;
use std::path::{Path, PathBuf};

/// A page.
pub struct Page {
    /// Its file.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// A line of prose, a heading or a row of a table: whatever is not in a block of code.
pub struct Line<'p> {
    /// Counted from 1.
    pub number: usize,
    /// The line.
    pub text: &'p str,
    /// The heading above it, without its marks.
    pub heading: &'p str,
}

/// A block of code.
pub struct Block<'p> {
    /// The line at which it begins, counted from 1.
    pub number: usize,
    /// What stands behind the fence: `toml`, or `toml,fragment`.
    pub info: &'p str,
    /// The code.
    pub text: String,
}

/// A row of a table.
pub struct Row<'p> {
    /// The heading above the table.
    pub heading: &'p str,
    /// The table's first row.
    pub columns: Vec<&'p str>,
    /// The row's cells.
    pub cells: Vec<&'p str>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Panics
    /// When it can't be read.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let text =
            fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path: path.to_owned(), text }
    }

    /// Where a line is, for messages.
    #[must_use]
    pub fn place(&self, number: usize) -> String {
        format!("{}:{number}", self.path.display())
    }

    /// All lines outside of blocks of code.
    #[must_use]
    pub fn lines(&self) -> Vec<Line<'_>> {
        let (mut lines, mut heading, mut in_code) = (Vec::new(), "", false);
        for (number, text) in (1..).zip(self.text.lines()) {
            if text.starts_with("```") {
                in_code = !in_code;
            } else if !in_code {
                if text.starts_with('#') {
                    heading = text.trim_start_matches('#').trim();
                }
                lines.push(Line { number, text, heading });
            }
        }
        lines
    }

    /// All blocks of code.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block<'_>> {
        let (mut blocks, mut open) = (Vec::new(), None::<Block>);
        for (number, line) in (1..).zip(self.text.lines()) {
            match (line.strip_prefix("```"), open.as_mut()) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(info), None) => open = Some(Block { number, info, text: String::new() }),
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        blocks
    }

    /// The rows of all tables, without the first one of each.
    #[must_use]
    pub fn rows(&self) -> Vec<Row<'_>> {
        let (mut rows, mut columns) = (Vec::new(), Vec::new());
        for line in self.lines() {
            let Some(row) = line.text.strip_prefix("| ") else {
                columns = Vec::new();
                continue;
            };
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            if columns.is_empty() {
                columns = cells;
            } else if !row.starts_with("---") {
                rows.push(Row { heading: line.heading, columns: columns.clone(), cells });
            }
        }
        rows
    }

    /// The targets of all links and pictures, with the number of a line at which each is near.
    #[must_use]
    pub fn links(&self) -> Vec<(usize, &str)> {
        let mut links = Vec::new();
        for line in self.lines() {
            // The text of a link may begin on another line than its target is on.
            let inline = line.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            let named = line.text.starts_with('[').then(|| line.text.split_once("]: ")).flatten();
            let targets = inline.chain(named.map(|(_, target)| target));
            links.extend(targets.map(|target| (line.number, target)));
        }
        links
    }

    /// What a link to a heading ends with, behind the `#`: of all headings.
    #[must_use]
    pub fn anchors(&self) -> Vec<String> {
        let anchor = |heading: &str| -> String {
            let kept = |letter: &char| letter.is_alphanumeric() || " -_".contains(*letter);
            heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
        };
        let headings = self.lines().into_iter().filter(|line| line.text.starts_with('#'));
        headings.map(|line| anchor(line.heading)).collect()
    }

    /// What stands in backticks outside of blocks of code, with the numbers of lines.
    #[must_use]
    pub fn code_spans(&self) -> Vec<(usize, &str)> {
        let mut spans = Vec::new();
        for line in self.lines() {
            spans.extend(quoted(line.text).into_iter().map(|span| (line.number, span)));
        }
        spans
    }
}

/// What stands in backticks.
#[must_use]
pub fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
