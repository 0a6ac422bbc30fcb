"""Worker processes: one framework in each, functions of isotune called in them.

A request is a function and its arguments: `workers["keras"].ask(requests.run, cell=...)` calls
`isotune.runs.requests.run(worker, cell=...)` in the worker of that adapter. Functions that are made for this stand in
modules named `requests`, or say in their docstring that they are called in a worker; their arguments and results are
JSON, arrays come and go as files.

- `process`: `WorkerProcess`, `Workers` and `ask_once`, the caller's side;
- `worker`: `Worker`, the program's side;
- `turns`: who asks a worker next;
- `interpreters`, `bootstrap`: other environments' Pythons;
- `environment`: the machine and the settings that results depend on; `memory`: the peaks of this process.
"""
