"""Adapters: each wraps one library's pretrained image models behind the one interface of `base`.

The only code of isotune that imports a framework. `base` is the interface; `README.md` says how to
write an adapter. Adapters are found through the entry-point group `isotune.adapters`.
"""
