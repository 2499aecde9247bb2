"""A small hub that unmodified huggingface_hub, transformers and datasets talk to.

One folder holds everything:

    ROOT/repositories/{models,datasets}/NAMESPACE/NAME.git   bare git repositories: history, names, small files
    ROOT/repositories/.../NAME.git/large/                    which large files this repository may name and hand out
    ROOT/blobs/ab/cd/SHA256                                  large files by their digest; git holds LFS pointers to them
    ROOT/blobs/{incoming,uploads}/                           files on their way in; uploads in parts survive a restart
    ROOT/git/                                                pushes on their way in, and the hook that judges them
    ROOT/cache/                                              what pages found out about files; may go at any time
    ROOT/key                                                 signs upload addresses; for the hub alone

`catalog` owns the folder, `repository` the git, `large_files` and `lock` who may name and who may change what, `store`
and `uploads` the blobs; `names`, `lfs`, `commits`, `changes` and `push_rules` are rules; `access` is the door to every
repository, `tickets` the addresses that need no other, `sessions` the cookies of browsers; `api`, `lfs_api`, `git_http`
and `download` speak HTTP to programs, `browse` to people; `app` puts them together, `process` runs it. `git_process`
starts git, which starts `pre_receive` on what is in `quarantine`.
"""

from modeling_axk1.hub.server.process import default_workers, run, serving

__all__ = ["default_workers", "run", "serving"]
