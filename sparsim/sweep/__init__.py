"""Design-space sweeps: many designs on many networks, each evaluated once, and the front of the best.

Its modules:

    study             what a sweep asks for             study_files        studies from YAML
    axes              values of axes, points            expressions        filters, limits and derived values
    record_paths      fields of records by path         design_space       from a point to hardware
    design_records    records of one design             design_space_loading  from a study to its space
    point_evaluation  what a point costs                sweep_row          the result of a point
    samplers          which points                      point_list         the points that were asked for
    point_sequences   random and quasi-random ones      optuna_sampler     those of NSGA-II and TPE
    objective_values  what the front is made of         pareto, dominance  fronts, points that are ruled out
    worker_process    evaluates chunks of points        workers            on this machine
                                                        dask_workers       on a cluster
    dispatch          chunks to workers                 row_store          rows on disk
    run_sweep         from a study to results           sweep_loop         from points to rows
    run_options       how a sweep runs                  point_states       what is known of every point
    dry_run           what a sweep would do
    sweep_view        results for readers               front_analysis     knees, steps, effects of axes
    exported_design   documents of a point, checks      feasibility_checks limits and filters that exclude all
    sweep_tables      the table of all points           results            table, summary and study
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
