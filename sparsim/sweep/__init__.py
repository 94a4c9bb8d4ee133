"""Design-space sweeps: many designs on many networks, each evaluated once, and the front of the best.

study               what a sweep asks for             study_files        studies from YAML
axes                values of axes, points            expressions        filters, limits and derived values
record_paths        fields of records by path         design_space       from a point to hardware
point_evaluation    what a point costs                sweep_row          the result of a point
"""
