//! What is answered: one record on the status topic for each command.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::camera::Shadowed;
use crate::policy::Step;

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// It can't be understood.
    Invalid,
    /// There is no such action.
    UnknownAction,
    /// There is no such camera, or it is not theirs who ask.
    UnknownCamera,
    /// The camera is there already.
    Exists,
    /// It does not fit to what else there is.
    Conflict,
    /// The tenant, or the host, has no room for it.
    Quota,
    /// A plugin, or its configuration, is not acceptable.
    Refused,
    /// It went wrong on the way.
    Failed,
}

impl ErrorCode {
    /// A refusal of this kind.
    #[must_use]
    pub fn because(self, message: impl Into<String>) -> Refusal {
        Refusal { code: self, message: cut(message.into()), step: None }
    }
}

/// A command was not carried out, and nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Why, for programs.
    pub code: ErrorCode,
    /// The reason, and what to do.
    pub message: String,
    /// The step of a swap at which it failed.
    pub step: Option<Step>,
}

impl Refusal {
    /// A swap that failed at `step`.
    #[must_use]
    pub fn at(step: Step, message: impl Into<String>) -> Self {
        Self { code: ErrorCode::Refused, message: cut(message.into()), step: Some(step) }
    }

    /// The camera's thread has ended.
    #[must_use]
    pub fn stopped() -> Self {
        ErrorCode::Failed.because("the camera has stopped")
    }
}

/// A message may name what was asked, of any length, and has to fit into an answer.
fn cut(mut message: String) -> String {
    if message.len() > MOST_BYTES {
        message.truncate(message.floor_char_boundary(MOST_BYTES));
        message.push('…');
    }
    message
}

/// The longest message of a refusal, in bytes.
const MOST_BYTES: usize = 2048;

/// How long the steps of a change took, in their order.
#[derive(Debug, Clone, Default)]
pub struct StepTimes(Vec<(Step, Duration)>);

impl StepTimes {
    /// A step was done, or another part of it.
    pub fn add(&mut self, step: Step, took: Duration) {
        match self.0.iter_mut().find(|(known, _)| *known == step) {
            Some((_, total)) => *total += took,
            None => self.0.push((step, took)),
        }
    }

    fn to_json(&self) -> Value {
        let step = |(step, took): &(Step, Duration)| json!({ "step": step, "ms": millis(*took) });
        self.0.iter().map(step).collect()
    }
}

/// How a change of plugins went.
#[derive(Debug, Clone, Default)]
pub struct SwapReport {
    /// Its steps.
    pub steps: StepTimes,
    /// The first record under the new plugins.
    pub cut: Option<Cut>,
    /// How long the camera's thread was held up.
    pub gap: Option<Duration>,
    /// What came of the shadow run.
    pub shadow: Option<Shadowed>,
    /// What plugins said of the state that they were given.
    pub notes: Vec<String>,
}

/// A record of a camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cut {
    /// Its number.
    pub seq: u64,
    /// `topic/partition/offset` of its input.
    pub source: String,
}

/// What a camera answers.
#[derive(Debug, Clone)]
pub struct CameraAnswer {
    /// What became of it.
    pub result: Result<String, Refusal>,
    /// The camera's tenant, when there is such a camera.
    pub tenant: Option<String>,
    /// The generation of its desired state.
    pub generation: Option<u64>,
    /// The identities of its plugins.
    pub plugins: Vec<String>,
    /// How a change of plugins went, if there was one.
    pub swap: Option<SwapReport>,
}

impl CameraAnswer {
    /// Refused for a camera that is not there.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        let (tenant, generation) = (None, None);
        Self { result: Err(refusal), tenant, generation, plugins: Vec::new(), swap: None }
    }

    /// To a command that comes again after a crash.
    #[must_use]
    pub fn carried_out_before() -> Self {
        let result = Ok("carried out before, and not again".to_owned());
        Self { result, tenant: None, generation: None, plugins: Vec::new(), swap: None }
    }

    /// The fields of an answer. `what` is the action, with the camera where there is one.
    #[must_use]
    pub fn to_json(&self, what: &str) -> Map<String, Value> {
        let mut fields = result_fields(what, &self.result);
        let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
        if let Some(tenant) = &self.tenant {
            put("tenant", tenant.as_str().into());
        }
        if let Some(generation) = self.generation {
            put("generation", generation.into());
        }
        if !self.plugins.is_empty() {
            put("plugins", self.plugins.clone().into());
        }
        if let Some(swap) = &self.swap {
            put("steps", swap.steps.to_json());
            if let Some(cut) = &swap.cut {
                put("cut", json!(cut));
            }
            if let Some(gap) = swap.gap {
                put("gap_ms", millis(gap).into());
            }
            if let Some(shadow) = &swap.shadow {
                put("shadow", json!(shadow));
            }
            if !swap.notes.is_empty() {
                put("notes", swap.notes.clone().into());
            }
        }
        fields
    }
}

/// `1 camera`, `2 cameras`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `ok`, `message` and, with a refusal, `error` and `failed_step`.
#[must_use]
pub fn result_fields(what: &str, result: &Result<String, Refusal>) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    match result {
        Ok(message) => {
            put("ok", true.into());
            let separator = if message.is_empty() { "" } else { ": " };
            put("message", format!("✔ {what}{separator}{message}").into());
        }
        Err(refusal) => {
            put("ok", false.into());
            put("error", json!(refusal.code));
            let message = match (refusal.code, refusal.step) {
                (ErrorCode::UnknownAction, _) => format!("✘ {refusal}"),
                (_, Some(step)) => format!("✘ {what}: {step}: {refusal}"),
                (_, None) => format!("✘ {what}: {refusal}"),
            };
            put("message", message.into());
            if let Some(step) = refusal.step {
                put("failed_step", json!(step));
            }
        }
    }
    fields
}

/// Milliseconds to the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
