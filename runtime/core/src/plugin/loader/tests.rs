use std::fs;
use std::sync::{Barrier, mpsc};

use crate::plugin::compile::{CompilePlace, Compiler};
use crate::plugin::loader::*;
use crate::plugin::settings::TenantPlugins;
use crate::plugin::supply::Trust;
use crate::plugin::supply::sign;
use crate::plugin::test_plugin::{component, endless, large, stateful};
use crate::policy::Grant;
use crate::policy::LoadLimits;
use crate::policy::PrivateKey;
use crate::policy::Quota;
use crate::tenancy::Tenants;

const ACME: &str = "acme";
const LIMITS: Limits = Limits::DEFAULT;

fn tenant(id: &str) -> Arc<Tenant> {
    let terms = vec![(id.into(), 1, Quota::default())];
    Tenants::new(terms, Quota::default()).get(id).unwrap()
}

fn acme() -> Arc<Tenant> {
    tenant(ACME)
}

/// A directory with a store `plugins`, which holds motion@1.0.0, and the settings that go with
/// it.
fn settings() -> (tempfile::TempDir, LoaderSettings) {
    let directory = tempfile::tempdir().unwrap();
    let plugin_dir = directory.path().join("plugins");
    fs::create_dir(&plugin_dir).unwrap();
    fs::write(plugin_dir.join("motion@1.0.0.wasm"), component("motion", "1.0.0")).unwrap();
    let settings = LoaderSettings {
        counts_fuel: false,
        state_dir: Some(directory.path().join("state")),
        plugin_dir,
        base: directory.path().to_owned(),
        trust: Trust::default(),
        tenants: HashMap::new(),
        compiler: Compiler::InProcess,
        limits: LoadLimits::default(),
    };
    (directory, settings)
}

fn steps(loaded: &Loaded) -> Vec<Step> {
    loaded.steps.iter().map(|(step, _)| *step).collect()
}

fn motion() -> PluginRef {
    "motion@1.0.0".parse().unwrap()
}

#[test]
fn a_plugin_is_compiled_once_and_then_shared_or_taken_from_the_cache() {
    let (_directory, settings) = settings();
    let loader = Loader::open(settings.clone()).unwrap();
    let first = loader.load(&acme(), &motion(), None).unwrap();
    assert_eq!(steps(&first), [Step::Fetch, Step::Compile, Step::Check]);
    let digest = Digest::of(&component("motion", "1.0.0"));
    let plugin = &first.plugin;
    assert_eq!((&*plugin.name, &*plugin.version), ("motion", "1.0.0"));
    assert_eq!((plugin.digest, plugin.has_state()), (digest, false));
    assert_eq!(plugin.identity, format!("motion@1.0.0+sha256.{}", digest.short()));
    assert_eq!(plugin.headers, ["test.ok"]);
    let second = loader.load(&acme(), &motion(), Some(digest)).unwrap();
    assert_eq!(steps(&second), [Step::Fetch, Step::Load]);
    assert!(Arc::ptr_eq(&first.plugin, &second.plugin));
    drop((first, second));
    assert_eq!(
        steps(&loader.load(&acme(), &motion(), None).unwrap()),
        [Step::Fetch, Step::Load, Step::Check]
    );
    drop(loader);
    let loader = Loader::open(settings).unwrap();
    assert_eq!(
        steps(&loader.load(&acme(), &motion(), None).unwrap()),
        [Step::Fetch, Step::Load, Step::Check]
    );
}

#[test]
fn loads_of_one_component_at_once_compile_it_once() {
    let (_directory, settings) = settings();
    let loader = Loader::open(settings).unwrap();
    let load = || loader.load(&acme(), &motion(), None).unwrap();
    let loaded: Vec<Loaded> = std::thread::scope(|scope| {
        let threads = [(); 8].map(|()| scope.spawn(load));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let compiled = loaded.iter().filter(|loaded| steps(loaded).contains(&Step::Compile));
    assert_eq!(compiled.count(), 1);
    assert!(loaded.iter().all(|other| Arc::ptr_eq(&other.plugin, &loaded[0].plugin)));
}

#[test]
fn a_damaged_compiled_plugin_is_compiled_again() {
    let (directory, settings) = settings();
    let loader = Loader::open(settings).unwrap();
    drop(loader.load(&acme(), &motion(), None).unwrap());
    let compiled = fs::read_dir(directory.path().join("state/compiled")).unwrap();
    for file in compiled {
        let path = file.unwrap().path();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    }
    let again = loader.load(&acme(), &motion(), None).unwrap();
    assert_eq!(steps(&again), [Step::Fetch, Step::Compile, Step::Check]);
}

#[test]
fn what_ran_can_be_had_again_until_it_is_neither_wanted_nor_used() {
    let (_directory, settings) = settings();
    let file = settings.plugin_dir.join("motion@1.0.0.wasm");
    let loader = Loader::open(settings).unwrap();
    let loaded = loader.load(&acme(), &motion(), None).unwrap();
    let digest = loaded.plugin.digest;
    fs::remove_file(file).unwrap();
    loader.retain(&HashMap::new()).unwrap();
    assert!(loader.load(&acme(), &motion(), Some(digest)).is_ok(), "it is in use");
    drop(loaded);
    loader.retain(&HashMap::from([(ACME.to_owned(), HashSet::from([digest]))])).unwrap();
    assert!(loader.load(&acme(), &motion(), Some(digest)).is_ok(), "it is wanted");
    loader.retain(&HashMap::new()).unwrap();
    let gone = loader.load(&acme(), &motion(), Some(digest)).err().unwrap();
    assert_eq!(gone.step(), Step::Fetch);
}

#[test]
fn a_plugin_that_exports_state_has_it() {
    let (_directory, settings) = settings();
    fs::write(settings.plugin_dir.join("s.wasm"), stateful("counter", "1.0.0")).unwrap();
    let loader = Loader::open(settings).unwrap();
    assert!(loader.load(&acme(), &"s.wasm".parse().unwrap(), None).unwrap().plugin.has_state());
}

#[test]
fn what_is_no_plugin_is_refused_at_the_step_that_finds_out() {
    let (_directory, settings) = settings();
    let wasi = r#"(component (import "wasi:clocks/monotonic-clock@0.2.0" (instance)))"#;
    let newer = r#"(component (import "comux:plugin/frames@0.2.0" (instance)))"#;
    let state = r#"(component $c
        (instance $i) (export "comux:plugin/state@0.1.0" (instance $i)))"#;
    let parse = |text| wat::parse_str(text).unwrap();
    let files = [
        ("text.wasm", b"no component".to_vec(), Step::Compile, "comux plugin build"),
        ("module.wasm", parse("(module)"), Step::Compile, "component"),
        ("wasi.wasm", parse(wasi), Step::Check, "wasi:clocks/monotonic-clock"),
        ("newer.wasm", parse(newer), Step::Check, "comux:plugin 0.1"),
        ("empty.wasm", parse("(component)"), Step::Check, "comux:plugin/plugin"),
        ("state.wasm", parse(state), Step::Check, "comux:plugin/plugin"),
        ("motion@2.0.0", component("motion", "1.0.0"), Step::Check, "motion@1.0.0"),
        ("endless.wasm", endless(), Step::Check, "describe itself"),
        ("header.wasm", renamed("test.ok", "comux-x"), Step::Check, "`comux-x`"),
    ];
    for (source, bytes, ..) in &files {
        let name = source.trim_end_matches(".wasm");
        fs::write(settings.plugin_dir.join(format!("{name}.wasm")), bytes).unwrap();
    }
    let state_dir = settings.state_dir.clone().unwrap();
    let loader = Loader::open(settings).unwrap();
    for (source, _, step, words) in files {
        let error = loader.load(&acme(), &source.parse().unwrap(), None).err().unwrap();
        assert_eq!(error.step(), step, "{error}");
        let said = error.to_string();
        assert!(said.starts_with(&format!("plugin `{source}`: ")), "{said}");
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(fs::read_dir(state_dir.join("components")).unwrap().count(), 0);
}

fn renamed(from: &str, to: &str) -> Vec<u8> {
    let mut bytes = component("motion", "1.0.0");
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

#[test]
fn a_state_directory_is_one_processes_own() {
    let (directory, settings) = settings();
    let loader = Loader::open(settings.clone()).unwrap();
    let refusal = Loader::open(settings.clone()).err().unwrap();
    assert!(matches!(refusal, OpenError::InUse { .. }), "{refusal}");
    assert!(refusal.to_string().contains("state_dir"), "{refusal}");
    drop(loader);
    assert!(Loader::open(settings.clone()).is_ok());
    let nowhere = LoaderSettings { state_dir: None, ..settings };
    fs::remove_dir_all(directory.path().join("state")).unwrap();
    let loader = Loader::open(nowhere).unwrap();
    assert!(loader.load(&acme(), &motion(), None).is_ok());
    assert!(!directory.path().join("state").exists());
}

#[tokio::test]
async fn who_gets_no_permit_in_time_is_told_so_and_others_are_not_kept_waiting() {
    let (_directory, mut settings) = settings();
    settings.limits.compile_time = Duration::from_millis(300);
    let loader = Loader::open(settings.clone()).unwrap();
    let compiling = loader.0.compilations.take(ACME).await;
    let busy = loader.load_within((&acme(), LIMITS), motion(), None).await.err().unwrap();
    assert!(matches!(busy.problem, LoadProblem::Busy(_)), "{busy}");
    assert_eq!(busy.step(), Step::Compile);
    let loaded = loader.load_within((&tenant("other"), LIMITS), motion(), None).await.unwrap();
    assert!(steps(&loaded).contains(&Step::Compile));
    // It is in memory now, and needs no permit to be compiled.
    assert!(loader.load_within((&acme(), LIMITS), motion(), None).await.is_ok());
    drop((loaded, compiling));
    let loaded = loader.load_within((&acme(), LIMITS), motion(), None).await.unwrap();
    assert_eq!(steps(&loaded), [Step::Fetch, Step::Load, Step::Check]);
}

/// Those that bring a model with them do.
#[tokio::test]
async fn a_plugin_that_needs_much_memory_from_the_beginning_runs_where_it_may() {
    let (_directory, settings) = settings();
    let pages = LIMITS.memory_bytes() / 65_536 + 1;
    fs::write(settings.plugin_dir.join("large.wasm"), large("large", pages)).unwrap();
    let (loader, source) =
        (Loader::open(settings).unwrap(), "large.wasm".parse::<PluginRef>().unwrap());
    let within = async |limits| loader.load_within((&acme(), limits), source.clone(), None).await;
    let refused = within(LIMITS).await.err().unwrap();
    assert!(matches!(refused.problem, LoadProblem::NoDescription(_)), "{refused}");
    assert!(within(Limits { memory_mb: LIMITS.memory_mb + 1, ..LIMITS }).await.is_ok());
}

#[tokio::test]
async fn who_waits_for_a_core_to_describe_itself_keeps_nobody_from_compiling() {
    let (directory, mut settings) = settings();
    settings.limits.compile_at_once = 1;
    fs::write(settings.plugin_dir.join("other.wasm"), component("other", "1.0.0")).unwrap();
    let loader = Loader::open(settings).unwrap();
    let acme = acme();
    let cores = std::thread::available_parallelism().unwrap().get();
    // All of acme's; here each tenant has its own.
    let taken: Vec<_> = (0..cores).map(|_| acme.claim().take()).collect();
    let describing = tokio::spawn({
        let (loader, acme) = (loader.clone(), Arc::clone(&acme));
        async move { loader.load_within((&acme, LIMITS), motion(), None).await }
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_dir(directory.path().join("state/compiled")).unwrap().count() == 0 {
        assert!(Instant::now() < deadline, "it is compiled");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let other =
        loader.load_within((&tenant("other"), LIMITS), "other.wasm".parse().unwrap(), None).await;
    assert_eq!(steps(&other.unwrap()), [Step::Fetch, Step::Compile, Step::Check]);
    assert!(!describing.is_finished());
    drop(taken);
    assert!(describing.await.unwrap().is_ok());
}

#[tokio::test]
async fn what_is_not_compiled_in_time_is_told_so_and_goes_on() {
    let (_directory, mut settings) = settings();
    settings.limits.compile_time = Duration::from_secs(1);
    let loader = Loader::open(settings).unwrap();
    // All threads that compile are held up.
    let threads = std::thread::available_parallelism().unwrap().get();
    let (gate, (begun, all_begun)) = (Arc::new(Barrier::new(threads + 1)), mpsc::channel());
    for _ in 0..threads {
        let (loader, gate, begun) = (loader.clone(), Arc::clone(&gate), begun.clone());
        std::thread::spawn(move || {
            let CompilePlace::InProcess(pool) = &loader.0.compile_queue.place else {
                panic!("as in `settings`")
            };
            pool.run(|| {
                begun.send(()).unwrap();
                gate.wait();
            })
        });
    }
    (0..threads).for_each(|_| all_begun.recv().unwrap());
    let late = loader.load_within((&acme(), LIMITS), motion(), None).await.err().unwrap();
    assert!(matches!(late.problem, LoadProblem::StillCompiling(_)), "{late}");
    assert_eq!(late.step(), Step::Compile);
    assert!(late.to_string().contains("goes on in the background"), "{late}");
    // Whoever asks meanwhile waits for the same permit, and does not compile it as well.
    let busy = loader.load_within((&tenant("other"), LIMITS), motion(), None).await.err().unwrap();
    assert!(matches!(busy.problem, LoadProblem::Busy(_)), "{busy}");
    gate.wait();
    let deadline = Instant::now() + Duration::from_secs(60);
    let loaded = loop {
        match loader.load_within((&acme(), LIMITS), motion(), None).await {
            Ok(loaded) => break loaded,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    assert!(steps(&loaded).contains(&Step::Load), "{:?}", loaded.steps);
    assert!(!steps(&loaded).contains(&Step::Compile), "{:?}", loaded.steps);
}

#[tokio::test]
async fn loads_of_one_component_by_several_tenants_at_once_compile_it_once() {
    let (_directory, settings) = settings();
    let loader = Loader::open(settings).unwrap();
    let tenants = ["a", "a", "a", "b", "b", "c"].map(tenant);
    let loads =
        tenants.each_ref().map(|tenant| loader.load_within((tenant, LIMITS), motion(), None));
    let loaded = futures_util::future::join_all(loads).await;
    let compiled = loaded.iter().flatten().filter(|it| steps(it).contains(&Step::Compile));
    assert_eq!((loaded.iter().flatten().count(), compiled.count()), (6, 1));
}

#[test]
fn a_tenant_gets_signed_plugins_only_wherever_they_come_from() {
    let (directory, mut settings) = settings();
    let key = PrivateKey::generate().unwrap();
    fs::write(settings.plugin_dir.join("signed.wasm"), sign(component("signed", "1.0.0"), &key))
        .unwrap();
    let signed: PluginRef = "signed.wasm".parse().unwrap();
    let loader = Loader::open(settings.clone()).unwrap();
    let digest = loader.load(&acme(), &motion(), None).unwrap().plugin.digest;
    drop(loader);
    // From now on; that it was kept and compiled before does not help.
    let trust = Trust { trusted_keys: vec![key.public()], ..Trust::default() };
    let demanding = TenantPlugins { trust, ..TenantPlugins::default() };
    settings.tenants.insert(ACME.to_owned(), demanding);
    let loader = Loader::open(settings.clone()).unwrap();
    let running = loader.load(&tenant("other"), &motion(), None).unwrap();
    for pinned in [None, Some(digest)] {
        let refusal = loader.load(&acme(), &motion(), pinned).err().unwrap();
        assert_eq!(refusal.step(), Step::Fetch);
        assert!(refusal.to_string().contains("not signed"), "{refusal}");
    }
    assert!(
        loader.load(&acme(), &signed, None).is_ok()
            && loader.load(&tenant("other"), &signed, None).is_ok()
    );
    drop((running, directory));
}

#[test]
fn a_tenant_gets_what_it_is_granted_also_of_what_another_runs() {
    let (_directory, mut settings) = settings();
    let logging = r#"(component (import "comux:plugin/log@0.1.0" (instance)))"#;
    fs::write(settings.plugin_dir.join("log.wasm"), wat::parse_str(logging).unwrap()).unwrap();
    let trust = Trust { grants: vec![Grant::Metrics], ..Trust::default() };
    let granted = TenantPlugins { trust, ..TenantPlugins::default() };
    settings.tenants.insert(ACME.to_owned(), granted);
    let loader = Loader::open(settings).unwrap();
    let refusal = |id| loader.load(&tenant(id), &"log.wasm".parse().unwrap(), None).err().unwrap();
    let not_granted = refusal(ACME);
    assert!(matches!(not_granted.problem, LoadProblem::NotGranted { .. }), "{not_granted}");
    assert_eq!(not_granted.step(), Step::Check);
    // The other may import it, and is refused only for what it lacks.
    assert!(matches!(refusal("other").problem, LoadProblem::WrongShape(_)));
}

#[test]
fn no_answer_names_a_directory_of_the_host() {
    let (directory, settings) = settings();
    fs::create_dir(settings.plugin_dir.join("directory.wasm")).unwrap();
    let loader = Loader::open(settings).unwrap();
    let digest = Some(Digest::of(b"another"));
    let sources = ["gone.wasm", "gone@1.0.0", "../x.wasm", "directory.wasm", "motion@1.0.0"];
    for source in sources {
        let error =
            loader.load(&acme(), &source.parse().unwrap(), digest).err().unwrap().to_string();
        assert!(!error.contains(directory.path().to_str().unwrap()), "{error}");
        assert!(error.contains(source), "{error}");
    }
}

#[tokio::test]
async fn a_job_that_panics_is_an_error() {
    let (_directory, settings) = settings();
    let loader = Loader::open(settings).unwrap();
    assert_eq!(loader.run(ACME, || 42).await.unwrap(), 42);
    assert!(loader.run(ACME, || panic!("as tested")).await.is_err());
}
