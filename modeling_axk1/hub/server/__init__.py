"""A small hub that unmodified huggingface_hub, transformers and datasets talk to.

One folder holds everything:

    ROOT/repositories/{models,datasets}/NAMESPACE/NAME.git   bare git repositories: history, names, small files
    ROOT/blobs/ab/cd/SHA256                                  large files by their digest; git holds LFS pointers to them

`catalog` owns the folder, `repository` the git, `store` the blobs; `names`, `lfs` and `commits` are pure rules;
`access` is the door to every repository; `api`, `lfs_api` and `download` speak HTTP, `app` puts them together,
`process` runs it.
"""

from modeling_axk1.hub.server.process import default_workers, run, serving

__all__ = ["default_workers", "run", "serving"]
