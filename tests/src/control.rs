//! A client of the control topics that has nothing to do with comux: records there, answers here.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::process::Config;
use crate::records::{Reader, Record, Writer, latest};
use crate::topics::{create_topic, topic_exists};

/// The topics by which the instances of one test are controlled.
#[derive(Debug, Clone)]
pub struct Names {
    /// Where control records go.
    pub control: String,
    /// Where answers and events come.
    pub status: String,
    state: String,
}

impl Names {
    /// Topics that no other test has.
    #[must_use]
    pub fn new(test: &str) -> Self {
        let [control, status, state] =
            ["control", "status", "state"].map(|topic| format!("{test}.{topic}"));
        Self { control, status, state }
    }

    /// The topics of a tenant's own.
    #[must_use]
    pub fn of_tenant(&self, tenant: &str) -> Self {
        let [control, status] = [&self.control, &self.status].map(|it| format!("{it}.{tenant}"));
        Self { control, status, state: self.state.clone() }
    }

    /// The state topic of an instance.
    #[must_use]
    pub fn state(&self, instance: &str) -> String {
        format!("{}.{instance}", self.state)
    }

    /// Configures an instance to use them. The instance's name is that of the configuration.
    #[must_use]
    pub fn configure(&self, config: Config) -> Config {
        let Self { control, status, state } = self;
        config.with(&format!(
            "[topics]\ncontrol = \"{control}\"\nstatus = \"{status}\"\nstate = \"{state}.:runtime\""
        ))
    }
}

/// What came on the status topic: the answer to a control record, or an event.
#[derive(Debug, Clone)]
pub struct Answer {
    value: Value,
}

impl Deref for Answer {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl Answer {
    /// Reads a record of the status topic, which must be as documented.
    fn of(record: &Record) -> Self {
        let text = record.value.as_deref().expect("an answer has a value");
        let value: Value = serde_json::from_slice(text).expect("an answer is JSON");
        let key = record.key.as_deref().map(|key| std::str::from_utf8(key).unwrap());
        if let Some(event) = value["event"].as_str() {
            assert_eq!(key, Some(event), "an event's key: {value}");
        } else {
            // What had no key, or none of text, can't be answered by it.
            assert!(value["action"].as_str().is_none_or(|it| key == Some(it)), "key: {value}");
            assert!(value["ok"].is_boolean(), "an answer says whether it is ok: {value}");
            let mark = if value["ok"] == true { "✔ " } else { "✘ " };
            let message = value["message"].as_str().expect("an answer has a message");
            assert!(message.starts_with(mark), "a message shows whether it is ok: {value}");
            assert_eq!(value["error"].is_string(), value["ok"] == false, "error: {value}");
        }
        assert!(value["runtime"].is_string(), "it says which instance it is of: {value}");
        assert_eq!(record.header("correlation-id"), value["correlation-id"].as_str(), "{value}");
        Self { value }
    }

    /// Whether it was done.
    #[must_use]
    pub fn ok(&self) -> bool {
        self["ok"] == true
    }

    /// What it says.
    #[must_use]
    pub fn message(&self) -> &str {
        self["message"].as_str().unwrap_or_default()
    }

    /// The kind of error; empty when it was done.
    #[must_use]
    pub fn error(&self) -> &str {
        self["error"].as_str().unwrap_or_default()
    }

    /// The instance.
    #[must_use]
    pub fn runtime(&self) -> &str {
        self["runtime"].as_str().unwrap_or_default()
    }

    /// The names of its steps, which must all have a time.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn steps(&self) -> Vec<&str> {
        steps(self)
    }

    /// The number of the first record that the new version analysed.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn cut(&self) -> usize {
        let seq = self["cut"]["seq"].as_u64().unwrap_or_else(|| panic!("no cut: {}", self.value));
        usize::try_from(seq).unwrap()
    }

    /// It is a refusal of this kind, in one line that says all `words`.
    ///
    /// # Panics
    /// When it is not.
    pub fn assert_refused(&self, kind: &str, words: &[&str]) {
        assert_eq!(self.error(), kind, "{}", self.value);
        for word in words {
            assert!(self.message().contains(word), "this should say `{word}`: {}", self.value);
        }
    }
}

/// The names of the steps of an answer or of one camera in it; all must have a time.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn steps(of: &Value) -> Vec<&str> {
    let steps = of["steps"].as_array().unwrap_or_else(|| panic!("no steps: {of}"));
    for step in steps {
        assert!(step["ms"].as_f64().is_some_and(|ms| ms >= 0.0), "a step has a time: {of}");
    }
    steps.iter().map(|step| step["step"].as_str().expect("a step has a name")).collect()
}

/// Sends control records and reads what comes back.
pub struct Control {
    names: Names,
    writer: Writer,
    reader: Reader,
    /// What was sent, by correlation id, in order.
    sent: Vec<String>,
    /// All that came, in order.
    seen: Vec<Answer>,
}

impl Control {
    /// A client on these topics, created where they are missing.
    #[must_use]
    pub fn new(names: &Names) -> Self {
        for topic in [&names.control, &names.status] {
            if !topic_exists(topic) {
                create_topic(topic, 1);
            }
        }
        let reader = Reader::new(&names.status);
        let names = names.clone();
        Self { names, writer: Writer::new(), reader, sent: Vec::new(), seen: Vec::new() }
    }

    /// A control record with a correlation id of its own.
    #[must_use]
    pub fn record(action: &str, value: &Value) -> Record {
        Self::raw(Some(action.as_bytes()), Some(value.to_string().as_bytes()))
    }

    /// A record of anything, with a correlation id of its own.
    #[must_use]
    pub fn raw(key: Option<&[u8]>, value: Option<&[u8]>) -> Record {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = format!("id-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
        Record { key, value, ..Record::of("") }.with_header("correlation-id", Some(id.as_bytes()))
    }

    /// Sends a record; returns its correlation id.
    ///
    /// # Panics
    /// When it has none, or the broker does not take it.
    pub fn send(&mut self, record: &Record) -> String {
        let id = record.header("correlation-id").expect("a correlation id").to_owned();
        self.writer.send(&self.names.control, record);
        self.writer.flush();
        self.sent.push(id.clone());
        id
    }

    /// The answer to what was sent with this id.
    ///
    /// # Panics
    /// When none comes.
    pub fn answer(&mut self, id: &str) -> Answer {
        self.answers(id, 1).remove(0)
    }

    /// That many answers to what was sent with this id.
    ///
    /// # Panics
    /// When they do not come.
    pub fn answers(&mut self, id: &str, count: usize) -> Vec<Answer> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.to(id);
            if found.len() >= count {
                return found;
            }
            let came = self.poll(deadline.saturating_duration_since(Instant::now()));
            assert!(came.is_some(), "{} of {count} answers to {id} came", found.len());
        }
    }

    /// The next that comes within this time, be it an answer or an event.
    pub fn poll(&mut self, patience: Duration) -> Option<Answer> {
        let answer = Answer::of(&self.reader.next_within(patience)?);
        self.seen.push(answer.clone());
        Some(answer)
    }

    /// What has come in answer to this id.
    #[must_use]
    pub fn to(&self, id: &str) -> Vec<Answer> {
        let is_it = |answer: &&Answer| answer["correlation-id"] == id;
        self.seen.iter().filter(is_it).cloned().collect()
    }

    /// Sends an action and waits for its answer.
    pub fn ask(&mut self, action: &str, value: Value) -> Answer {
        let id = self.send(&Self::record(action, &value));
        self.answer(&id)
    }

    /// Sends an action that must be done.
    ///
    /// # Panics
    /// When it is not.
    pub fn done(&mut self, action: &str, value: Value) -> Answer {
        let answer = self.ask(action, value);
        assert!(answer.ok(), "{action} is done: {}", answer.value);
        assert_eq!(answer["action"], action);
        answer
    }

    /// Sends an action that must be refused with this kind of error, in a message that says all
    /// `words`.
    ///
    /// # Panics
    /// When it is not.
    pub fn refused(&mut self, action: &str, value: Value, kind: &str, words: &[&str]) -> Answer {
        let answer = self.ask(action, value);
        answer.assert_refused(kind, words);
        answer
    }

    /// The first event of this name about this camera that has come or comes.
    ///
    /// # Panics
    /// When none comes.
    pub fn event(&mut self, event: &str, camera: &str) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        let is_it = |answer: &&Answer| answer["event"] == event && answer["camera"] == camera;
        loop {
            if let Some(found) = self.seen.iter().find(is_it) {
                return found.clone();
            }
            let came = self.poll(deadline.saturating_duration_since(Instant::now()));
            assert!(came.is_some(), "event {event} of {camera} does not come");
        }
    }

    /// One camera as `status` has it: phase, generation, plugins, counts.
    pub fn status(&mut self, camera: &str) -> Value {
        self.done("status", json!({ "id": camera }))["cameras"][0].clone()
    }

    /// Every record sent here was answered by each of `instances` once. To be asked when all
    /// answers are there; a last record shows that nothing else comes.
    ///
    /// # Panics
    /// When one was not, or twice.
    pub fn assert_one_answer_each(&mut self, instances: usize) {
        let last = self.send(&Self::record("status", &json!({})));
        self.answers(&last, instances);
        for id in self.sent.clone() {
            let answers = self.to(&id);
            assert_eq!(answers.len(), instances, "answers to {id}: {answers:?}");
        }
    }
}

/// The desired state of an instance, by camera; what else the topic says does not count.
///
/// # Panics
/// When a record there is no JSON.
#[must_use]
pub fn state(names: &Names, instance: &str) -> BTreeMap<String, Value> {
    let parse = |(camera, record): (String, Record)| {
        let value = record.value.expect("a key without a value is gone");
        (camera, serde_json::from_slice(&value).expect("a state record is JSON"))
    };
    let records = latest(&names.state(instance)).into_iter();
    records.filter(|(key, _)| !key.contains('/')).map(parse).collect()
}
