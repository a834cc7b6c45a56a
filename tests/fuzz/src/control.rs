//! Control records: any key, value and headers, one after the other against one set of cameras.
//!
//! An input is a sequence of records, each with its key, value, `correlation-id`, header `tenant`
//! and header `comux-commands`, all ended by `0xff`. With the key `state` the value is taken as it
//! stood on the state topic, for the camera that the `correlation-id` names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use comux::config::{CameraSpec, CameraTable, Config};
use comux::control::fuzzing::{
    CameraAnswer, CommandPositions, ControlRecord, Desired, ErrorCode, MAX_VALUE, Record, Refusal,
    patched, read_fields, result_fields,
};
use comux::control::wire::{Origin, Request, Target};

use crate::parts::{SEPARATOR, parts};

/// What the longest answer may have, whatever was asked: far less than brokers take.
const MOST_ANSWERED: usize = 16 * 1024;
/// Records of one input.
const MOST_RECORDS: usize = 8;
const FIELDS: usize = 5;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = "[kafka]\nbootstrap_servers = 'localhost:9092'\n[camera_defaults]\nrate = 5\n\
                [[tenants]]\nid = 'acme'\n[[cameras]]\nid = 'a'\ntenant = 'acme'\n\
                plugins = [{ source = 'motion@1.0.0', config = { threshold = 12 } }]\n\
                [[cameras]]\nid = 'b'\n";
    Config::parse(text, Path::new("comux.toml"), Path::new("")).unwrap()
});

pub fn run(data: &[u8]) {
    let specs = CONFIG.cameras.iter();
    let mut cameras: BTreeMap<String, Desired> =
        specs.map(|spec| (spec.id.to_string(), Desired::new(spec.clone()))).collect();
    let fields: Vec<&[u8]> = data.split(|byte| *byte == SEPARATOR).collect();
    for (offset, record) in (0..).zip(fields.chunks(FIELDS).take(MOST_RECORDS)) {
        let record = record.join(&SEPARATOR);
        let [key, value, correlation_id, tenant, commands] = parts::<FIELDS>(&record);
        let commands = CommandPositions::parse(&String::from_utf8_lossy(commands));
        assert_eq!(CommandPositions::parse(&commands.to_string()), commands);
        if key == b"state" {
            declare(&mut cameras, &String::from_utf8_lossy(correlation_id), value, commands);
        } else {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
            command(
                &mut cameras,
                ControlRecord {
                    origin: Origin { topic: "ops".to_owned(), offset, may_be_repeated: true },
                    scope: None,
                    key: (!key.is_empty()).then(|| key.to_vec()),
                    value: (!value.is_empty()).then(|| value.to_vec()),
                    correlation_id: text(correlation_id).filter(|id| !id.is_empty()),
                    target: Target { tenant: text(tenant), ..Target::default() },
                },
            );
        }
    }
}

/// Does what the control plane would, as far as it needs neither broker nor plugins.
fn command(cameras: &mut BTreeMap<String, Desired>, record: ControlRecord) {
    assert!(record.value.as_ref().is_none_or(|value| value.len() <= MAX_VALUE));
    let origin = record.origin.clone();
    let request = match Request::parse(record) {
        Ok(request) => request,
        Err(refused) => {
            let (request, refusal) = *refused;
            return answer(&request, Err(refusal));
        }
    };
    let _ = request.reach();
    let result = read_fields(&request).and_then(|()| match request.action.as_str() {
        "create" => {
            let spec = complete(request.fields()?)?;
            objection(cameras, &spec)?;
            let commands = CommandPositions::default().with(Some(&origin));
            cameras.insert(spec.id.to_string(), Desired { commands, ..Desired::new(spec) });
            Ok(String::new())
        }
        "update" => {
            let id = request.camera().unwrap_or_default();
            let Some(desired) = cameras.get(id) else { return Ok(String::new()) };
            let spec = patched(&desired.spec, request.value.clone(), &CONFIG)?;
            let nothing = serde_json::Map::new();
            let same =
                patched(&spec, [("id".to_owned(), id.into())].into_iter().collect(), &CONFIG);
            assert_eq!(same.as_ref(), Ok(&spec), "an empty patch changes nothing");
            assert!(patched(&spec, nothing, &CONFIG).is_err(), "a patch names its camera");
            let mut desired = desired.clone();
            desired.generation += 1;
            desired.spec = spec;
            desired.commands = desired.commands.with(Some(&origin));
            assert!(desired.commands.have_seen(&origin));
            cameras.insert(id.to_owned(), desired);
            Ok(String::new())
        }
        _ => Ok(String::new()),
    });
    for desired in cameras.values() {
        is_read_as_written(desired);
    }
    answer(&request, result);
}

fn declare(
    cameras: &mut BTreeMap<String, Desired>,
    key: &str,
    value: &[u8],
    commands: CommandPositions,
) {
    match Record::parse(key, value, commands, &CONFIG) {
        Ok(Record::Camera(desired, _)) => {
            assert_eq!(desired.spec.id.as_str(), key);
            is_read_as_written(&desired);
            cameras.insert(key.to_owned(), *desired);
        }
        Ok(Record::Deleted) => drop(cameras.remove(key)),
        Err(refusal) => is_answerable(&CameraAnswer::refused(refusal).to_json("state")),
    }
}

fn complete(table: CameraTable) -> Result<CameraSpec, Refusal> {
    CONFIG.complete(table).map_err(|error| ErrorCode::Invalid.because(error.to_string()))
}

fn objection(cameras: &BTreeMap<String, Desired>, spec: &CameraSpec) -> Result<(), Refusal> {
    let others = cameras.values().map(|desired| &desired.spec);
    CONFIG.objection(spec, others).map_or(Ok(()), |why| Err(ErrorCode::Conflict.because(why)))
}

/// What is kept on the state topic is what comes back from it after a restart.
fn is_read_as_written(desired: &Desired) {
    let written = desired.to_json();
    let key = desired.spec.id.as_str();
    let read = Record::parse(key, &written, desired.commands.clone(), &CONFIG);
    let same = Record::Camera(Box::new(desired.clone()), Some(desired.generation));
    assert_eq!(read, Ok(same), "{}", String::from_utf8_lossy(&written));
    assert!(desired.spec.satisfies(&desired.spec));
}

/// Whoever asks gets an answer, whatever was asked: one that a broker takes.
fn answer(request: &Request, result: Result<String, Refusal>) {
    assert!(request.action.len() <= 128);
    let id = request.camera();
    let what = id.map_or(request.action.clone(), |id| format!("{} {id}", request.action));
    let mut fields = result_fields(&what, &result);
    fields.insert("camera".to_owned(), id.into());
    fields.insert("correlation-id".to_owned(), request.correlation_id.clone().into());
    is_answerable(&fields);
}

fn is_answerable(fields: &serde_json::Map<String, serde_json::Value>) {
    let answer = serde_json::to_vec(fields).unwrap();
    assert!(answer.len() <= MOST_ANSWERED, "an answer of {} bytes", answer.len());
    assert!(fields["ok"].is_boolean() && fields["message"].is_string());
}
