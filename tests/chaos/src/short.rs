//! The short form of every scenario, in several worlds at once.

use std::cmp::Reverse;
use std::io::Write as _;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use warmlink_tests::runtime::run_within;

use crate::form::Extent;
use crate::report::{Line, remarks, shown};
use crate::run::{Verdict, run};
use crate::scenario::{Deed, SCENARIOS, Scenario};
use crate::witness::Witness;
use crate::world::{Stage, World, is_root};

/// Worlds that there are at the same time: their loads are small, and most of a
/// scenario is waiting.
const WORLDS: usize = 6;
/// An act that takes so long is given nothing more.
const FULL: Duration = Duration::from_secs(18);
/// Another process that is busy for a moment makes a run void, not so many.
const TRIES: usize = 3;
/// What all of it may take on a loaded machine, with what is tried again.
const LIMIT: Duration = Duration::from_secs(300);

/// What takes place in one world, one scenario after the other.
struct Act {
    stage: Stage,
    scenarios: Vec<Scenario>,
}

impl Act {
    fn length(&self) -> Duration {
        let lengths = self.scenarios.iter().map(|it| Extent::short(it).length());
        lengths.sum()
    }

    /// Whether nobody else may be at work: an overload's promises are about ratios.
    fn is_alone(&self) -> bool {
        self.scenarios.iter().any(is_overload)
    }

    async fn play(self) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut world = None;
        for scenario in self.scenarios {
            if scenario.needs_root() && !is_root() {
                lines.push(Line::Skipped(scenario));
                continue;
            }
            let begun = Instant::now();
            lines.push(one(scenario, &mut world).await);
            // Of a run that does not end it is known how far it came.
            println!("{} took {:.1?}", scenario.name, begun.elapsed());
        }
        if let Some(world) = world {
            world.end().await.unwrap();
        }
        lines
    }
}

/// In the world that there is, or in a new one: again where nothing is known of it.
async fn one(scenario: Scenario, place: &mut Option<World>) -> Line {
    for tried in 1.. {
        let witness = Witness::begin();
        let verdict = Box::pin(once(&scenario, place)).await;
        match (void(&scenario, &verdict, witness.end().await), verdict) {
            (Some(why), _) if tried < TRIES => println!("{}: void: {why}", scenario.name),
            (Some(why), _) => return Line::Void(scenario, why),
            (None, Ok(verdict)) => return Line::Done(scenario, verdict),
            (None, Err(error)) => return Line::Void(scenario, format!("{error:#}")),
        }
    }
    unreachable!("it is tried {TRIES} times")
}

/// The world stays if it was left as it should be: what others would find in it is not
/// what they need.
async fn once(scenario: &Scenario, place: &mut Option<World>) -> anyhow::Result<Verdict> {
    let mut world = match place.take() {
        Some(world) => world,
        None => World::start(scenario.stage).await?,
    };
    let verdict = Box::pin(run(scenario, Extent::short(scenario), &mut world)).await;
    if verdict.as_ref().is_ok_and(|it| it.broken.is_empty()) {
        *place = Some(world);
        return verdict;
    }
    for host in &world.hosts {
        println!("{}\n{}", scenario.name, host.log());
    }
    if let Err(error) = world.end().await {
        // What became of the scenario matters more.
        println!("{}: {error:#}", scenario.name);
    }
    verdict
}

/// Why nothing is known of what was promised, where that is so. Promises that were kept
/// were kept, whoever else was at work; and what is lost is lost.
fn void(
    scenario: &Scenario,
    verdict: &anyhow::Result<Verdict>,
    idle: anyhow::Result<()>,
) -> Option<String> {
    let what = match verdict {
        Ok(verdict) if verdict.broken.is_empty() || verdict.certain => return None,
        Ok(verdict) => verdict.broken.join(", "),
        Err(error) => format!("{error:#}"),
    };
    match idle {
        Err(busy) => Some(format!("{busy}: {what}")),
        // Its own word for that.
        Ok(()) if is_overload(scenario) && verdict.is_err() => Some(what),
        Ok(()) => None,
    }
}

fn is_overload(scenario: &Scenario) -> bool {
    matches!(scenario.what, Deed::Overload(_))
}

/// All scenarios, by what they take place in.
fn acts() -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    for scenario in SCENARIOS.iter().map(Scenario::short) {
        let stage = scenario.stage;
        let fits = |act: &&mut Act| act.stage == stage && act.length() < FULL;
        match acts.iter_mut().find(fits) {
            Some(act) => act.scenarios.push(scenario),
            None => acts.push(Act {
                stage,
                scenarios: vec![scenario],
            }),
        }
    }
    // What is begun last should not be what takes longest.
    acts.sort_by_key(|act| Reverse((act.stage.has_followers(), act.length())));
    acts
}

/// The lines of acts that are played at the same time, as they end.
async fn played(acts: Vec<Act>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut acts = acts.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < WORLDS
            && let Some(act) = acts.next()
        {
            running.spawn(act.play());
        }
        match running.join_next().await {
            Some(ended) => lines.extend(ended.unwrap()),
            None => return lines,
        }
    }
}

#[test]
fn every_promise_is_kept_where_there_are_seconds_for_it() {
    let begun = Instant::now();
    let lines = run_within(LIMIT, async {
        let (alone, together): (Vec<_>, Vec<_>) = acts().into_iter().partition(Act::is_alone);
        let mut lines = Vec::new();
        for act in alone {
            lines.extend(act.play().await);
        }
        lines.extend(played(together).await);
        lines
    });
    println!("{}\ntook {:.1?}", shown(&lines), begun.elapsed());
    let mut broken = Vec::new();
    for line in &lines {
        match line {
            Line::Done(_, verdict) if verdict.broken.is_empty() => {
                for note in remarks(line) {
                    println!("{note}");
                }
            }
            Line::Done(..) | Line::Void(..) => broken.extend(remarks(line)),
            Line::Skipped(_) => {
                for skipped in remarks(line) {
                    // Past the harness, which shows nothing of a test that passes.
                    writeln!(std::io::stderr(), "{skipped}").unwrap();
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_scenario_is_tried_once() {
    let acts = acts();
    let tried = acts.iter().flat_map(|act| &act.scenarios);
    let mut tried: Vec<_> = tried.map(|it| it.name).collect();
    let mut all: Vec<_> = SCENARIOS.iter().map(|it| it.name).collect();
    tried.sort_unstable();
    all.sort_unstable();
    assert_eq!(tried, all);
    for act in &acts {
        for scenario in &act.scenarios {
            assert_eq!(scenario.stage, act.stage, "{}", scenario.name);
            assert_eq!(is_overload(scenario), act.is_alone(), "{}", scenario.name);
        }
    }
}

#[test]
fn a_busy_machine_excuses_what_looks_broken_and_a_calm_one_does_not() {
    let broken = |broken: &[&str]| {
        Ok(Verdict {
            broken: broken.iter().map(ToString::to_string).collect(),
            ..Verdict::default()
        })
    };
    let failed = || Err(anyhow::anyhow!("no answer"));
    let busy = || Err(anyhow::anyhow!("busy"));
    let fault = SCENARIOS.iter().find(|it| !is_overload(it)).unwrap();
    let overload = SCENARIOS.iter().find(|it| is_overload(it)).unwrap();
    for it in [fault, overload] {
        assert_eq!(void(it, &broken(&[]), Ok(())), None);
        assert_eq!(void(it, &broken(&[]), busy()), None);
        assert_eq!(void(it, &broken(&["slow"]), Ok(())), None);
        let excused = void(it, &broken(&["slow", "lost"]), busy());
        assert_eq!(excused.as_deref(), Some("busy: slow, lost"));
        let excused = void(it, &failed(), busy());
        assert_eq!(excused.as_deref(), Some("busy: no answer"));
    }
    let lost = Ok(Verdict {
        broken: vec!["lost".to_owned()],
        certain: true,
        ..Verdict::default()
    });
    assert_eq!(void(fault, &lost, busy()), None);
    assert_eq!(void(fault, &failed(), Ok(())), None);
    assert!(void(overload, &failed(), Ok(())).is_some());
}
