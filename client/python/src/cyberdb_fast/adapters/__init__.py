"""Adapters: cyberdb-fast as the cache, session store or queue of a Python framework.

Each module is the adapter of one framework, which it imports: import the module that you need, or
name its class in the configuration of the framework. An UnsupportedFramework error says what to
install if the framework is missing, or has a version that the adapter was not tested with.
"""
