//! From a request to its one answer: which cameras are meant, and what they say.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::actions::Actions;
use super::registry::CameraView;
use super::status::status;
use crate::config::{CameraTable, Id};
use crate::control::camera::{Actor, ControlContext, Placed, resolve};
use crate::control::wire::{
    CameraAnswer, CameraCommand, CameraSelection, Canary, Deploy, DeployFields, Envelope,
    ErrorCode, OneCamera, Refusal, Request, Rollback, RolloutOptions, StepTimes, Wanted, counted,
    from_json, result_fields,
};

/// Cameras that a command may name one by one.
const MOST_CAMERAS: usize = 1000;

/// Answers requests.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    pub context: Arc<ControlContext>,
    pub actions: Actions,
}

impl Dispatcher {
    /// Whether this node, and the camera that is meant, if one is, are here.
    pub fn is_meant(&self, request: &Request) -> bool {
        let target = &request.target;
        let node = self.context.host.config.name.as_str();
        if target.runtime.as_ref().is_some_and(|name| name != node) {
            return false;
        }
        let creates = request.action == "create";
        // A tenant's own topic does not tell which cameras others have.
        let view = |id: &str| {
            let view = self.context.registry.view(id)?;
            request.scope.as_ref().is_none_or(|own| *own == view.spec.tenant).then_some(view)
        };
        if let Some(camera) = &target.camera {
            let is_here = view(camera).is_some();
            let is_created = creates && request.camera() == Some(camera);
            if !is_here && !is_created || request.camera().is_some_and(|id| id != camera) {
                return false;
            }
        }
        if let Some(tenant) = &target.tenant {
            // A tenant is not told which others there are.
            if request.scope.as_ref().is_some_and(|own| own.as_str() != tenant) {
                return false;
            }
            let config = &self.context.host.config;
            return match request.camera().and_then(view) {
                Some(view) => view.spec.tenant.as_str() == tenant,
                None => Id::new(tenant).is_ok_and(|tenant| config.knows(&tenant)),
            };
        }
        true
    }

    /// Executes a request; gives the fields of its answer.
    pub async fn execute(&self, request: &Request) -> Map<String, Value> {
        match self.try_execute(request).await {
            Ok(fields) => fields,
            Err(refusal) => {
                let id = request.camera();
                let what = match id {
                    Some(id) => format!("{} {id}", request.action),
                    None => request.action.clone(),
                };
                let mut fields = result_fields(&what, &Err(refusal));
                if let Some(id) = id {
                    fields.insert("camera".to_owned(), id.into());
                }
                fields
            }
        }
    }

    async fn try_execute(&self, request: &Request) -> Result<Map<String, Value>, Refusal> {
        let one = |command| async move {
            let OneCamera { id } = request.fields()?;
            Ok(self.one(request, id, command).await)
        };
        match request.action.as_str() {
            "create" => {
                let table: CameraTable = request.fields()?;
                let id = table.id.clone();
                let id = id.ok_or_else(|| ErrorCode::Invalid.because("a camera needs an `id`"))?;
                Ok(self.one(request, id, CameraCommand::Create(Box::new(table))).await)
            }
            "update" => {
                let id = ["id", "_id"].iter().find_map(|key| request.value.get(*key).cloned());
                let id = id.ok_or_else(|| {
                    ErrorCode::Invalid.because("`update` needs the `id` of a camera")
                })?;
                let id: Id = from_json(id)?;
                Ok(self.one(request, id, CameraCommand::Update(request.value.clone())).await)
            }
            "delete" => one(CameraCommand::Delete).await,
            "reset" => one(CameraCommand::Reset).await,
            "pause" => one(CameraCommand::Pause(true)).await,
            "resume" => one(CameraCommand::Pause(false)).await,
            "deploy" => self.deploy(request).await,
            "rollback" => {
                let (cameras, fields) = self.cameras(request)?;
                let command = CameraCommand::Rollback(from_json::<Rollback>(fields)?);
                self.several(request, cameras, None, command).await
            }
            "status" => status(&self.context, request),
            action => self.application_action(action, request).await,
        }
    }

    // === cameras ===

    async fn one(&self, request: &Request, id: Id, command: CameraCommand) -> Map<String, Value> {
        let answer = self.ask(request, &id, command).await;
        let mut fields = answer.to_json(&format!("{} {id}", request.action));
        fields.insert("camera".to_owned(), id.as_str().into());
        fields
    }

    async fn ask(&self, request: &Request, id: &Id, command: CameraCommand) -> CameraAnswer {
        let (reply, answered) = oneshot::channel();
        let creates = match command {
            CameraCommand::Create(_) => true,
            CameraCommand::Reset => {
                let reach = request.reach();
                let mut of_file = self.context.host.config.cameras.iter();
                of_file.any(|it| it.id == *id && reach.as_ref().is_none_or(|own| *own == it.tenant))
            }
            _ => false,
        };
        let envelope = Envelope {
            command,
            scope: request.scope.clone(),
            reach: request.reach(),
            origin: Some(request.origin.clone()),
            reply: Some(reply),
        };
        let open = creates.then_some(|| Actor::open(id.clone(), Arc::clone(&self.context)));
        let sent = self.context.registry.send(id, envelope, open).is_ok();
        let unknown =
            || CameraAnswer::refused(ErrorCode::UnknownCamera.because(format!("no camera `{id}`")));
        if !sent {
            let deleted_by = self.context.deleted_by.get(id.as_str());
            if deleted_by.is_some_and(|seen| seen.have_seen(&request.origin)) {
                return CameraAnswer::carried_out_before();
            }
            self.unless_stopping().await;
            return unknown();
        }
        match answered.await {
            Ok(answer) => answer,
            Err(_) => {
                self.unless_stopping().await;
                unknown()
            }
        }
    }

    /// Never comes back when the node ends: the command stays unanswered, and is carried out
    /// after the restart.
    async fn unless_stopping(&self) {
        if self.context.is_stopping() {
            std::future::pending::<()>().await;
        }
    }

    /// Sends a command of the node itself, to a camera that may not be there yet.
    pub fn tell(&self, id: &Id, envelope: Envelope) {
        let open = || Actor::open(id.clone(), Arc::clone(&self.context));
        // Fails only when the node ends.
        let _ = self.context.registry.send(id, envelope, Some(open));
    }

    async fn deploy(&self, request: &Request) -> Result<Map<String, Value>, Refusal> {
        let (cameras, fields) = self.cameras(request)?;
        let fields: DeployFields = from_json(fields)?;
        let options = RolloutOptions::new(fields.shadow, fields.probation, fields.fresh)?;
        let wanted = match (fields.plugin, fields.plugins, fields.replaces) {
            (Some(plugin), None, replaces) => Wanted::One { plugin, replaces },
            (None, Some(plugins), None) => Wanted::List(plugins),
            (None, Some(_), Some(_)) => {
                return Err(
                    ErrorCode::Invalid.because("`replaces` goes with `plugin`, not `plugins`")
                );
            }
            _ => {
                return Err(
                    ErrorCode::Invalid.because("`deploy` needs either `plugin` or `plugins`")
                );
            }
        };
        let deploy = Arc::new(Deploy { wanted, options });
        // Once for all cameras, so that none waits until another has loaded it.
        let _loaded = self.load_ahead(request, &deploy, &cameras).await;
        self.several(request, cameras, fields.canary, CameraCommand::Deploy(deploy)).await
    }

    /// Has the plugins of a deploy to several cameras in memory, for each of their tenants. What
    /// can't be loaded, or only within limits of a camera's own, each camera says itself.
    async fn load_ahead(
        &self,
        request: &Request,
        deploy: &Deploy,
        cameras: &Result<Id, Vec<Id>>,
    ) -> Vec<Placed> {
        let Err(cameras) = cameras else { return Vec::new() };
        let views = cameras.iter().filter_map(|id| self.context.registry.view(id.as_str()));
        let reach = request.reach();
        let reached = |tenant: &Id| reach.as_ref().is_none_or(|own| own == tenant);
        let tenants = views.map(|view| view.spec.tenant.clone()).filter(reached);
        let tenants: BTreeSet<Id> = tenants.collect();
        let host = &self.context.host;
        let of_tenant = async |tenant: Id| {
            let mut loaded = Vec::new();
            let limits = host.config.tenant(&tenant).limits;
            let Ok(tenant) = resolve::tenant(host, &tenant) else { return loaded };
            for entry in deploy.entries() {
                let steps = &mut StepTimes::default();
                loaded.extend(resolve::load(&host.loader, (&tenant, limits), entry, steps).await);
            }
            loaded
        };
        // At once, so that no tenant waits for what another's plugins take.
        futures_util::future::join_all(tenants.into_iter().map(of_tenant)).await.concat()
    }

    /// The cameras that a command is for, and its other fields. `Ok`: the one camera of `id`.
    fn cameras(&self, request: &Request) -> Result<(Result<Id, Vec<Id>>, Value), Refusal> {
        let (which, fields) = CameraSelection::split(&request.value)?;
        let reach = request.reach();
        let views = || {
            let views = self.context.registry.views().into_iter();
            views.filter(|view| reach.as_ref().is_none_or(|own| *own == view.spec.tenant))
        };
        let id_of = |view: CameraView| view.spec.id.clone();
        let cameras = match (which.id, which.cameras, which.tenant, which.all) {
            (Some(id), None, None, None | Some(false)) => return Ok((Ok(id), fields)),
            (None, Some(cameras), None, None | Some(false)) if cameras.len() > MOST_CAMERAS => {
                let message =
                    format!("`cameras` may name {MOST_CAMERAS}; `tenant` and `all` any number");
                return Err(ErrorCode::Invalid.because(message));
            }
            (None, Some(mut cameras), None, None | Some(false)) => {
                let mut seen = std::collections::HashSet::new();
                cameras.retain(|id| seen.insert(id.clone()));
                cameras
            }
            (None, None, Some(tenant), None | Some(false)) => {
                views().filter(|view| view.spec.tenant == tenant).map(id_of).collect()
            }
            (None, None, None, Some(true)) => views().map(id_of).collect(),
            _ => {
                let message =
                    "say for which cameras: one of `id`, `cameras`, `tenant`, or `all`: true";
                return Err(ErrorCode::Invalid.because(message));
            }
        };
        let meant = |id: &Id| request.target.camera.as_deref().is_none_or(|own| own == id.as_str());
        let cameras: Vec<Id> = cameras.into_iter().filter(meant).collect();
        if cameras.is_empty() {
            return Err(ErrorCode::UnknownCamera.because("there is no such camera"));
        }
        Ok((Err(cameras), fields))
    }

    /// Sends a command to cameras; with a canary, first to that one.
    async fn several(
        &self,
        request: &Request,
        cameras: Result<Id, Vec<Id>>,
        canary: Option<Canary>,
        command: CameraCommand,
    ) -> Result<Map<String, Value>, Refusal> {
        let cameras = match cameras {
            Ok(id) => return Ok(self.one(request, id, command).await),
            Err(cameras) => cameras,
        };
        let canary = match canary {
            None | Some(Canary::Any(false)) => None,
            Some(Canary::Any(true)) => cameras.first().cloned(),
            Some(Canary::This(id)) if cameras.contains(&id) => Some(id),
            Some(Canary::This(id)) => {
                let message = format!("`canary`: `{id}` is none of the cameras that are meant");
                return Err(ErrorCode::Invalid.because(message));
            }
        };
        let mut answers: Vec<(Id, CameraAnswer)> = Vec::with_capacity(cameras.len());
        let mut dead_canary = None;
        if let Some(id) = &canary {
            let answer = self.ask(request, id, command.clone()).await;
            if let Err(refusal) = &answer.result {
                let message = format!("not tried, because the canary {id} failed");
                dead_canary = Some(Refusal { message, ..refusal.clone() });
            }
            answers.push((id.clone(), answer));
        }
        let mut asked = Vec::new();
        for id in cameras.iter().filter(|id| canary.as_ref() != Some(id)) {
            match &dead_canary {
                Some(refusal) => answers.push((id.clone(), CameraAnswer::refused(refusal.clone()))),
                None => {
                    let command = command.clone();
                    asked.push(async move { (id.clone(), self.ask(request, id, command).await) });
                }
            }
        }
        answers.extend(futures_util::future::join_all(asked).await);
        Ok(summary(request, &answers))
    }

    // === actions of an application ===

    async fn application_action(
        &self,
        action: &str,
        request: &Request,
    ) -> Result<Map<String, Value>, Refusal> {
        let Some(handler) = self.actions.find(action) else {
            let message = format!("No action '{action}' defined!");
            return Err(ErrorCode::UnknownAction.because(message));
        };
        let request = request.clone();
        let done = tokio::task::spawn_blocking(move || handler(&request)).await;
        let given = match done {
            Ok(Ok(given)) => given,
            Ok(Err(message)) => return Err(ErrorCode::Refused.because(message)),
            Err(error) => return Err(ErrorCode::Failed.because(error.to_string())),
        };
        let mut fields = result_fields(action, &Ok(String::new()));
        fields.extend(given);
        Ok(fields)
    }
}

/// One answer for several cameras.
fn summary(request: &Request, answers: &[(Id, CameraAnswer)]) -> Map<String, Value> {
    let done = answers.iter().filter(|(_, answer)| answer.result.is_ok()).count();
    let counted = format!("{done} of {}", counted(answers.len(), "camera"));
    let failed = answers.iter().find_map(|(id, answer)| Some((id, answer.result.as_ref().err()?)));
    let result = match failed {
        None => Ok(counted),
        Some((id, refusal)) => {
            let message = match refusal.step {
                Some(step) => format!("{counted}; {id}: {step}: {refusal}"),
                None => format!("{counted}; {id}: {refusal}"),
            };
            Err(Refusal { message, code: refusal.code, step: None })
        }
    };
    let mut fields = result_fields(&request.action, &result);
    let cameras = answers.iter().map(|(id, answer)| {
        let mut camera = answer.to_json(&format!("{} {id}", request.action));
        camera.insert("camera".to_owned(), id.as_str().into());
        Value::Object(camera)
    });
    fields.insert("cameras".to_owned(), cameras.collect());
    fields
}
