//! How fast a whole cluster runs with all checkers on: `leader-crash` and, without load, `idle`.
//!
//! Criterion's elements per second are simulated RPCs per second for `leader-crash`, and simulated seconds per second for
//! `idle`. `scripts/speed` prints both for both, and CPU time instead of wall time.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use trial_scenarios::{Finished, Run, RunOptions, Scenario, catalog};

fn run(scenario: &Scenario) -> Finished {
    let options = RunOptions { seed: 1, ..RunOptions::default() };
    let run = Run::new(scenario.clone(), options).expect("the built-in corpus is good");
    run.finish(&mut |_| ()).expect("the scenario can be carried out")
}

fn cluster(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cluster");
    group.sample_size(10);

    let leader_crash =
        catalog::load("leader-crash").expect("it is in the catalog").expect("it is well formed");
    group.throughput(Throughput::Elements(run(&leader_crash).record.rpcs));
    group.bench_function("leader_crash", |bencher| bencher.iter(|| run(&leader_crash)));

    let idle = Scenario::from_toml("idle.toml", include_str!("../../scenarios/idle.toml"));
    let idle = idle.expect("it is well formed");
    group.throughput(Throughput::Elements(idle.duration.0 / 1_000_000_000));
    group.bench_function("idle", |bencher| bencher.iter(|| run(&idle)));
    group.finish();
}

criterion_group!(benches, cluster);
criterion_main!(benches);
