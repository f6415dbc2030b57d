//! The page in a real Chromium. What it shows is made by the library, out of spans; each test is a
//! scenario of `tests/browser/scenarios.mjs`.

mod served;
mod traces;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::{Context, Dagger, Engine};
use dagger::trace::critical_path::{critical_path, entry};
use dagger::trace::model::Span;
use dagger::verify::Target;
use dagger::viewer::page;
use dagger::viewer::view::{RunInfo, RunState, RunView, RunsView, Segment, findings};

/// What the browser is given: the page's files, documents of runs, single files.
fn site() -> &'static Path {
    static SITE: OnceLock<PathBuf> = OnceLock::new();
    SITE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
        let _ = std::fs::remove_dir_all(&dir);
        write(&dir.join("policy.txt"), page::CONTENT_SECURITY_POLICY);
        for asset in page::all() {
            write(&dir.join("site").join(asset.path), asset.text);
        }
        let failed = traces::build(id(0xa1), true, true, 0);
        let mut runs = vec![
            run(&dir, &failed, "runs/a1", "/home/kim/work/dagger"),
            run(
                &dir,
                &traces::build(id(0xa2), false, true, 0),
                "runs/a2",
                "/home/kim/work/dagger",
            ),
            run(
                &dir,
                &traces::build(id(0xa3), false, false, 1_450),
                "runs/a3",
                "/home/kim/work/dagger",
            ),
            run(
                &dir,
                &traces::broken(id(0xa4)),
                "runs/a4",
                "/home/kim/work/shop",
            ),
            run(
                &dir,
                &traces::hostile(id(0xa5)),
                "runs/a5",
                "/home/<b>kim</b>/work",
            ),
            run(
                &dir,
                &traces::big(id(0xa6), 50_000),
                "runs/a6",
                "/home/kim/work/monorepo",
            ),
        ];
        write_json(&dir.join("runs.json"), &RunsView { runs: runs.clone() });
        // A run that is under way, before and after it ends.
        let whole = traces::build(id(0xa7), false, true, 0);
        let early: Vec<Span> = whole.iter().take(9).cloned().collect();
        let mut begun = run(&dir, &early, "live/early", "/home/kim/work/dagger");
        begun.state = RunState::Running;
        begun.duration_us = None;
        let ended = run(&dir, &whole, "runs/a7", "/home/kim/work/dagger");
        let mut rerun = view(&early, begun.clone());
        rerun.run = begun.clone();
        write_json(&dir.join("live/early.json"), &rerun);
        runs.insert(0, begun);
        write_json(
            &dir.join("live/runs-early.json"),
            &RunsView { runs: runs.clone() },
        );
        runs[0] = ended;
        write_json(&dir.join("live/runs-late.json"), &RunsView { runs });
        dir
    })
}

/// Trace ids of the look of real ones; the scenarios know them.
fn id(first: u128) -> u128 {
    first << 120 | 0x007b_e1c0_4d92_f36e_8a5b_1d7c_2e9f_0a43
}

/// Writes the document and the single file of a run.
fn run(dir: &Path, spans: &[Span], name: &str, directory: &str) -> RunInfo {
    let mut info = RunInfo::of_spans(spans);
    info.directory = directory.into();
    info.args = vec!["--export".into(), "type=local,dest=out".into()];
    info.run = Some(1);
    let view = view(spans, info.clone());
    let trace = &view.run.trace;
    let file = name.rsplit_once('/').map_or(name, |(folder, _)| folder);
    write_json(&dir.join(file).join(format!("{trace}.json")), &view);
    write(
        &dir.join(format!("{name}.html")),
        &page::single_file(&view).expect("a single file"),
    );
    info
}

fn view(spans: &[Span], info: RunInfo) -> RunView {
    let target = Target::of_trace(spans[0].trace, None, None);
    let found = findings(&target, spans);
    RunView::new(info, spans, None, &path(spans), found)
}

fn path(spans: &[Span]) -> Vec<Segment> {
    let path = critical_path(spans, entry(spans).expect("a root"));
    let segments = path.into_iter();
    segments
        .map(|part| (part.span, part.start_ns, part.end_ns))
        .collect()
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

fn write_json(path: &Path, value: &impl serde::Serialize) {
    write(path, &serde_json::to_string(value).expect("JSON"));
}

fn scenario(name: &str) {
    scenario_with(name, &[]);
}

/// Node with the name of a scenario.
fn browser(name: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/scenarios.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(name);
    node
}

fn scenario_with(name: &str, more: &[&str]) {
    let output = browser(name)
        .arg(site())
        .args(more)
        .output()
        .expect("node can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{name}:\n{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    say(&said);
}

/// Measured times are for who reads the output.
#[expect(clippy::print_stdout, reason = "cargo shows it when asked to")]
fn say(text: &str) {
    print!("{text}");
}

#[test]
fn real_build_is_whole_in_its_single_file() {
    let context = Context::three_stages("page");
    let run = Dagger::up(context.path(), Engine::Http, &[])
        .run()
        .expect(0);
    let state = run.state.path().display().to_string();
    let file = context.join("run.html").display().to_string();
    let show = |args: &[&str]| {
        let all: Vec<_> = ["trace", "show"].iter().chain(args).copied().collect();
        Dagger::new(context.path(), &all)
            .env("XDG_STATE_HOME", &state)
            .run()
    };
    show(&[&run.trace(), "--html", &file]).expect(0);
    scenario_with("real_build_is_whole_in_its_single_file", &[&file]);
    let nowhere = show(&["--html", "no/such/folder/run.html"]).expect(2);
    assert!(
        nowhere
            .stderr
            .contains("cannot write `no/such/folder/run.html`"),
        "{}",
        nowhere.stderr
    );
    assert!(
        show(&["--html", "x", "--json"])
            .expect(2)
            .stderr
            .contains("cannot be used with")
    );
}

/// One test a scenario.
macro_rules! scenarios {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            scenario(stringify!($name));
        }
    )*};
}

scenarios! {
    list_can_be_searched_filtered_and_walked
    running_build_appears_and_fills_in
    waterfall_tells_states_apart_and_shows_output_in_place
    search_counts_matches_and_steps_through_them
    zoom_by_drag_wheel_keys_and_brush
    keyboard_reaches_everything
    missing_parent_is_a_row_and_findings_lead_to_spans
    table_and_flame_graph_find_the_time
    two_runs_are_compared
    deep_link_opens_the_same_view
    dark_mode_follows_the_system
    single_file_opens_from_disk
    hostile_names_run_nothing
    fifty_thousand_spans_open
    text_can_be_read_in_light_and_dark
    narrow_windows_show_all_of_it
    failed_build_opens_at_its_failure
    search_can_hide_what_does_not_match
    comparison_tells_kinds_of_change_apart
}
