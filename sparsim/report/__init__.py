"""Tables, figures and reports. Within sparsim, only modules of this package import matplotlib."""
